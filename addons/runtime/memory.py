"""Gives back what calls took that are over; the registry of flows says when.

Python's collector counts objects, not the bodies that hang on them, and glibc keeps what is free between what
is not. Measured on 100 streams at once: of 256 MB, 62 hung on calls that had ended, and of what was free
after that 120 MB went back to the system when it was asked to.
"""

import ctypes
import gc


def freeze() -> None:
    """What was loaded until now stays to the end: the collector need not look through it each time."""
    gc.collect()
    gc.freeze()


def clean() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
