"""Checks that stand beside every answer: golden outputs, drift, rotation check, angle profile, familiarity."""
