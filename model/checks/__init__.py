"""Checks that accompany every answer: golden outputs, drift, rotation check, angle profile, familiarity."""
