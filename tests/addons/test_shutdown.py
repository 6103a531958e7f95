"""The end of the proxy, as far as no proxy is needed to see it; tests/e2e/test_shutdown.py has all else."""

import asyncio
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from addons.shutdown import GracefulShutdown


@pytest.fixture
def handlers() -> Iterator[None]:
    """What signals do is as before after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
async def test_a_signal_that_comes_after_all_else_finds_no_handler_of_the_event_loop() -> None:
    """While a loop is closed, its handlers would write to a file that is closed already, and say so."""
    unused: Any = SimpleNamespace(draining=None)
    shutdown = GracefulShutdown(unused, unused, lambda: None, lambda: 0.0)
    shutdown.start(SimpleNamespace(shutdown=lambda: None))  # type: ignore[arg-type]  # the part of a master that is used
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    assert callable(signal.getsignal(signal.SIGTERM))
    shutdown.close()
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
