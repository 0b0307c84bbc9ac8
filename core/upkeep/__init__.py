"""What keeps an instance healthy over time: backup and restore, retention, gauges for monitoring."""
