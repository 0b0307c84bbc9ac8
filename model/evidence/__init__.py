"""The studies and measurements behind docs/detector.md."""
