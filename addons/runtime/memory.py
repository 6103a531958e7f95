"""Gives back what calls took that are over; the registry of flows says when.

A call goes when it is over, without Python's collector; the connection of a client does not, whose layers in
mitmproxy refer to one another. The collector counts objects, not the bodies and the TLS that hang on them,
and glibc keeps what is free between what is not. A look at all objects of 500 open streams takes 40 ms and
more, in which nothing passes: it is rarely taken but when the registry of flows asks for it.
"""

import ctypes
import gc

THRESHOLDS = (2000, 10, 100)
"""Of the collector, by generation: objects that are new, and rounds of the generation before. Python has 10
for the last: that is a look at all for every 500 streams that open."""


def settle() -> None:
    """What was loaded until now stays to the end: the collector need not look through it each time. Of what
    comes it looks at the young often, and at all of it rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def clean() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
