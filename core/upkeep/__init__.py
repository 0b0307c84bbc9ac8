"""Backup, retention, gauges."""
