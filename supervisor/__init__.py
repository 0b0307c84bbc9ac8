"""`make run`: checks the machine, migrates, starts the API and a worker, watches and restarts them, shows the demo."""
