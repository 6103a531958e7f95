"""One thread that writes, for an event loop that never waits: what is given to it lies in a bounded queue."""

import threading
import time
from collections import deque
from collections.abc import Callable

LARGEST_QUEUE = 64 << 20
"""Bytes."""

PAUSE = 0.1
"""Seconds for which the thread gathers what comes before it writes."""

IDLE = 600.0
"""Seconds after which a round is over though there was nothing to do."""

TURN, BREAK = 0.002, 0.0001
"""Seconds for which it works, and then lets the event loop have its turn: they share an interpreter, in which
one that is not interrupted holds up the other for 5 ms."""

type Work = Callable[[], object]


class Writer:
    """A daemon thread, which begins with the first work."""

    def __init__(
        self, round_over: Work, failed: Callable[[BaseException], None], largest: int = LARGEST_QUEUE
    ) -> None:
        """`round_over` is called in the thread when all is done for now; `failed` gets what it or a work
        raises. `largest`: bytes that may wait."""
        self._round_over, self._failed, self._largest = round_over, failed, largest
        self._works: deque[tuple[Work, int]] = deque()
        self._given = self._taken = 0  # bytes: the one is counted by the event loop, the other by the thread
        self._awake, self._hurry = threading.Event(), threading.Event()
        self._flushed: deque[threading.Event] = deque()
        self._began = 0.0
        self._thread: threading.Thread | None = None

    def put(self, work: Work, size: int) -> bool:
        """Have `work` done, in turn; False, and it is not: too much waits. `size`: the bytes that it keeps; 0
        is always taken. For the event loop's thread alone."""
        if size and self._given - self._taken + size > self._largest:
            return False
        self._given += size
        self._works.append((work, size))
        if not self._awake.is_set():
            self._awake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rotator traces", daemon=True)
            self._thread.start()
        return True

    def flush(self, seconds: float) -> bool:
        """Wait until all is done that was given, for so long at most; whether it is."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._flushed.append(done)
        self._hurry.set()
        self._awake.set()
        return done.wait(seconds)

    def _run(self) -> None:
        while True:
            if self._awake.wait(IDLE):
                self._hurry.wait(PAUSE)
            self._awake.clear()
            self._hurry.clear()
            flushed = [self._flushed.popleft() for _ in range(len(self._flushed))]
            self._do_all()
            for each in flushed:
                each.set()

    def _do_all(self) -> None:
        for _ in range(len(self._works)):  # what comes meanwhile is of the next round
            work, size = self._works.popleft()
            self._do(work)
            self._taken += size
            self._pause()
        self._do(self._round_over)

    def _pause(self) -> None:
        if time.perf_counter() - self._began > TURN:
            time.sleep(BREAK)
            self._began = time.perf_counter()

    def _do(self, work: Work) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # the thread continues, whatever a trace leads to
            self._failed(error)
