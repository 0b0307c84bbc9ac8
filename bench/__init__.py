"""`make bench`: every stage of the service beside naive code and peers, on the same work in one run."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a worker: spinning threads would count as CPU time
