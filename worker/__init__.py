"""The door for work: claims rows, runs the network, commits. The only place where core and model meet."""
