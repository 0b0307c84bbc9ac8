"""What one request carries: the visitor, its transaction, its audit trail."""
