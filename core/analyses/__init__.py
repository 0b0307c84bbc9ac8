"""Analyses of slides: requests, states, typed results, model cards."""
