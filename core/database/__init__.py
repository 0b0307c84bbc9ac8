"""Transactions, the records by subject, and the schema's migrations."""
