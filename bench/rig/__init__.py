"""What measurements stand on: a service of their own, synthetic slides, an HTTP client, the machine's limits."""
