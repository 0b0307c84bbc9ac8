"""What leaves the service: GeoJSON, tables, pictures."""
