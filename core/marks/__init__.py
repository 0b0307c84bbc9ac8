"""Outlines drawn by people, their polygons, and the evaluation of analyses against them."""
