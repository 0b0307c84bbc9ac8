"""Leased work rows, the doorbell that wakes workers, and the message transport of the embedded mode."""
