"""Weights on disk: checkpoints, and the cards that say what is known of them."""
