"""What stands beside every answer: golden outputs, the rotation check, angle profiles, familiarity."""
