"""The end of the proxy on SIGTERM: what is under way may end first.

From the signal on no connection is accepted, and `/health` says 503. Requests on open connections are still
answered. When all calls are over, or `drain_timeout` is, the proxy ends: calls that are left end with an
error of their protocol. A second SIGTERM, or SIGINT, does not wait.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress

from mitmproxy.master import Master

from addons.call.answering import Answering
from addons.mitm.flows import FlowRegistry

STEP = 0.05
"""Seconds between two looks at what is under way."""

FLUSH = 5.0
"""Seconds in which clients may read the errors that their calls ended with."""

log = logging.getLogger("rotator")


class GracefulShutdown:
    """`begun` is called when it is asked for; `timeout` gives the seconds of `drain_timeout`."""

    def __init__(
        self,
        flows: FlowRegistry,
        answering: Answering,
        begun: Callable[[], None],
        timeout: Callable[[], float],
    ) -> None:
        self._flows, self._draining, self._answering = flows, flows.draining, answering
        self._begun, self._timeout = begun, timeout
        self._end: Callable[[], None] = lambda: None
        self._task: asyncio.Task[None] | None = None

    def start(self, running: Master) -> None:
        """The event loop runs, and `running` with it: its own handler of SIGTERM gives way."""
        self._end = running.shutdown
        with suppress(NotImplementedError, RuntimeError):  # on Windows; in another thread than the first
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._asked)

    def close(self) -> None:
        """All is done. A signal that comes while the event loop is closed would find no handler: it ends the
        process, without a word."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)

    def _asked(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        else:
            self._end()

    async def _run(self) -> None:
        try:
            await self._drain(self._timeout())
        finally:
            self._end()

    async def _drain(self, seconds: float) -> None:
        self._begun()
        await self._draining.begin()
        if not self._is_over():
            log.info("stopping: what is under way has %g s; a second SIGTERM ends it now", seconds)
        await _until(self._is_over, seconds)
        if left := self._answering.under_way():
            log.warning("stopping: calls not over after %g s, which end with an error: %d", seconds, left)
            self._answering.shut_down()
            await _until(lambda: not (self._answering.under_way() or self._draining.unsent()), FLUSH)
        self._flows.leave()
        self._draining.close()

    def _is_over(self) -> bool:
        """Whether nothing is under way. Clients are let go meanwhile as they come to ask nothing."""
        self._draining.let_go()
        return not (self._draining.is_busy() or self._answering.under_way())


async def _until(over: Callable[[], bool], seconds: float) -> None:
    """Wait for it, but no longer than that."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    while not over() and (left := due - loop.time()) > 0:  # noqa: ASYNC110  # connections report no end
        await asyncio.sleep(min(STEP, left))
