"""Checkpoints and their cards."""
