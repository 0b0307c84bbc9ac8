"""What stands before the routes: the gate, headers, connections, rate limits."""
