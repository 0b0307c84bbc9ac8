"""One file per kind of work."""
