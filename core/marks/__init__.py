"""Outlines drawn by people, polygons, and lesion-level evaluation."""
