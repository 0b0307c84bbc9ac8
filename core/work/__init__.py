"""Leased work rows, the doorbell, the file transport."""
