"""`make bench`: the service's stages beside what everyone writes and what peers do, on the same work in one run."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a worker: threads that spin would count as work
