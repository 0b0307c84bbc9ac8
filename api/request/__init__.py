"""Dependencies of routes: visitor, transaction, idempotency, audit trail, and the Change that joins them."""
