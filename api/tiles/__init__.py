"""The bare ASGI tile application."""
