"""Slides: catalog, uploads, archives, storage."""
