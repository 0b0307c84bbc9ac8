"""The training runs behind docs/detector.md: jobs, data, runs, and the command that makes them."""
