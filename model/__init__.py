"""Groups, equivariant networks, dense inference, self-tests. It imports no slide, database or queue."""
