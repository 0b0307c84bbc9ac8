"""`make run`: checks the machine, migrates, starts the API and a worker, restarts them, and shows the demo slide."""
