"""Which answer a request gets: queues by credential and path, filled by the test, emptied by the server."""

import threading
from collections import deque
from typing import Self

from tests.vendor.http1 import Received
from tests.vendor.script import Answer


class Queue:
    """Answers in order for the requests that match; safe to fill from another thread."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._standing: Answer | None = None
        self._lock = threading.Lock()

    def reply(self, answer: Answer, times: int = 1) -> Self:
        """The next answer, or the next so many."""
        with self._lock:
            self._answers.extend([answer] * times)
        return self

    def always(self, answer: Answer) -> Self:
        """What every request gets once the answers given by `reply` are used up."""
        with self._lock:
            self._standing = answer
        return self

    def take(self) -> Answer | None:
        """The answer for one request; None: this queue has none."""
        with self._lock:
            return self._answers.popleft() if self._answers else self._standing


class Queues:
    """All queues of one vendor. The most specific that has an answer decides."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str | None, str | None], Queue] = {}

    def on(self, key: str | None = None, path: str | None = None) -> Queue:
        """The queue for a bare key, a path (exact, without the query), both, or everything."""
        return self._queues.setdefault((key, path), Queue())

    def take(self, received: Received) -> Answer | None:
        """Key and path, then key, then path, then the rest; None: nothing is scripted."""
        key, path = received.credential, received.path
        for pattern in ((key, path), (key, None), (None, path), (None, None)):
            queue = self._queues.get(pattern)
            if queue is not None and (answer := queue.take()) is not None:
                return answer
        return None
