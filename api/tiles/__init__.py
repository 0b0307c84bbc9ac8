"""Tiles, as a bare ASGI application over open slide files."""
