"""Terminal clients. They talk HTTP only."""
