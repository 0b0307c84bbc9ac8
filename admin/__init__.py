"""Operator commands: `python -m admin migrate | backup | retention | audit`."""
