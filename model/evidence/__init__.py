"""Studies and measurements behind docs/detector.md. Nothing that serves imports them."""
