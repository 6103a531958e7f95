"""How much of what was said the list of mitmweb and mitmproxy keeps: the bodies of the newest calls.

A tool sends all of its conversation with each call, half a megabyte and more, and mitmproxy keeps every flow
until the user removes it; mitmweb hashes all bodies for each new page besides.
"""

from collections import deque
from weakref import ReferenceType, ref

from mitmproxy import http

from addons.views.sent import SentRequests

MOST = 256 << 20
"""Bytes."""

DROPPED = "its bodies are not kept any longer: newer calls took their place"


class Bodies:
    """Those of flows that are over, the oldest first."""

    def __init__(self, requests: SentRequests, most: int = MOST) -> None:
        """`requests` holds what their attempts were sent. `most`: bytes."""
        self._requests, self._most = requests, most
        self._kept: deque[tuple[ReferenceType[http.HTTPFlow], int]] = deque()
        self._total = 0

    def note(self, flow: http.HTTPFlow) -> None:
        """One more. A flow that the user has removed counts until its turn to go has come."""
        size = self._size(flow)
        self._kept.append((ref(flow), size))
        self._total += size
        while self._total > self._most and len(self._kept) > 1:
            oldest, freed = self._kept.popleft()
            self._total -= freed
            if (old := oldest()) is not None:
                self._drop(old)

    def _size(self, flow: http.HTTPFlow) -> int:
        sent = sum(len(one.body or b"") for one in self._requests.of(flow))
        return sent + sum(len(each.raw_content or b"") for each in _messages(flow))

    def _drop(self, flow: http.HTTPFlow) -> None:
        for each in _messages(flow):
            each.raw_content = None
        self._requests.forget(flow)
        flow.comment = f"{flow.comment}\n· {DROPPED}".strip("\n")


def _messages(flow: http.HTTPFlow) -> list[http.Message]:
    return [flow.request] if flow.response is None else [flow.request, flow.response]
