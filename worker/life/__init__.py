"""A worker's life: lease, heartbeat, shutdown, reconciler."""
