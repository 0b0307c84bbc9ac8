"""The door for work: claims rows, runs the network, commits. The only place where core and model meet."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the reading thread's small products must not crowd out the network
