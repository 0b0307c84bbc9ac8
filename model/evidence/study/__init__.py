"""The training runs behind docs/detector.md: jobs, their data, one run, and the command that does them all."""
