"""Terminal clients of the public API. They talk HTTP only and import nothing of the service."""
