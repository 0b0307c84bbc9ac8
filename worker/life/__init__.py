"""A worker's life: lease, heartbeat, farewell, reconciler."""
