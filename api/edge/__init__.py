"""Middleware and limits in front of the routes: correlation, gate, same origin, headers, connections, rates."""
