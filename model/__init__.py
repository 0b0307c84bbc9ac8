"""Pure mathematics: groups, equivariant networks, dense inference, self-tests. Knows no slide, database or queue."""
