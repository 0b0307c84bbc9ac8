"""The formats that outlines are drawn in: each reader turns a file into marks."""
