"""Who may do what: visitors and their scopes, credentials, people, quotas, idempotency keys, the audit."""
