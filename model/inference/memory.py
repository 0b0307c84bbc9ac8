"""Reuse of freed memory (glibc's malloc).

A feature map of a 512 px region takes tens of megabytes. By default glibc returns blocks of that size to the kernel as
soon as they are free and maps new ones for the next tensor. The kernel zeroes those page by page, which adds two thirds
to the time of the network's own arithmetic. With larger thresholds the process reuses its pages; results are the same.
"""

import ctypes

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt(3)
LARGEST_REUSED = 1 << 30  # bytes: larger blocks still go back to the kernel
MOST_UNUSED = (1 << 31) - 1  # bytes, the largest int: never trimmed


def keep_freed_memory() -> bool:
    """Lets this process reuse what its tensors free; False where the C library has no such setting (not glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_REUSED) and mallopt(TRIM_THRESHOLD, MOST_UNUSED))
