"""The database: transactions, records by subject, migrations."""
