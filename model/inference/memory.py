"""What freed memory costs, and how to keep it.

A feature map of a 512 px region takes tens of megabytes. glibc gives blocks of that size back to the kernel as soon as
they are free and asks for new ones for the next tensor, which the kernel fills with zeros page by page: two thirds as
much time again as the network's own arithmetic. Kept, the same pages serve all tensors of a run, with the same results.
"""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt(3)
LARGEST_KEPT = 1 << 30
MOST_KEPT = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Let this process reuse what its tensors free; False where the C library has no such setting (not glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(TRIM_THRESHOLD, MOST_KEPT))
