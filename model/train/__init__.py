"""Training on PCam."""
