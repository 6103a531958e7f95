"""Gives back what calls took that are over.

Python's collector counts objects, not the bodies that hang on them, and glibc keeps what is free between what
is not. Measured on 100 streams at once: of 256 MB, 62 hung on calls that had ended, and of what was free
after that 120 MB went back to the system when it was asked to.
"""

import ctypes
import gc
from collections.abc import Callable

from mitmproxy import http

ENOUGH = 32 << 20
"""Bytes of bodies whose flows have ended since the last time. To give them back takes some 30 ms."""


def freeze() -> None:
    """What was loaded until now stays to the end: the collector need not look through it each time."""
    gc.collect()
    gc.freeze()


class Housekeeping:
    """Counts the bodies of flows that are over. `clean`: what is done when they are enough."""

    def __init__(self, clean: Callable[[], None]) -> None:
        self._clean, self._bytes = clean, 0

    def over(self, flow: http.HTTPFlow) -> None:
        messages = (flow.request, flow.response)
        self._bytes += sum(len(each.raw_content or b"") for each in messages if each is not None)
        if self._bytes >= ENOUGH:
            self._bytes = 0
            self._clean()


def clean() -> None:
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
