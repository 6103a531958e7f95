"""Gives back what calls took that are over; the registry of flows says when.

A call goes when it is over, without Python's collector; the connection of a client does not, whose layers in
mitmproxy refer to one another. The collector counts objects, not the bodies and the TLS that hang on them,
and glibc keeps what is free between what is not. A look at all objects of 500 open streams takes 40 ms and
more, in which nothing passes: it is rarely taken but when the registry of flows asks for it.
"""

import ctypes
import gc
from collections.abc import Callable

THRESHOLDS = (2000, 10, 100)
"""Of the collector, by generation: objects that are new, and rounds of the generation before. Python has 10
for the last: that is a look at all for every 500 streams that open."""

KEPT = 32 << 20
"""Bytes that glibc keeps at the end of its heap, and that a block may have to be taken from there: the most
that it comes to by itself. Until then a call gives back what its body took, and the next one gets each page
of it from the system again: a quarter of what a request of 1 MB costs. `clean` gives back all."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def settle() -> None:
    """What was loaded until now stays to the end: the collector need not look through it each time. Of what
    comes it looks at the young often, and at all of it rarely."""
    if set_option := _glibc("mallopt"):
        set_option(_MMAP_THRESHOLD, KEPT)
        set_option(_TRIM_THRESHOLD, KEPT)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def clean() -> None:
    gc.collect()
    if trim := _glibc("malloc_trim"):
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function that glibc alone has."""
    return getattr(ctypes.CDLL(None), name, None)
