"""A proxy that ends with another process."""

import os
import subprocess
import threading

import pytest

from rotator import proxy


@pytest.mark.parametrize("pidfd", [True, False])
def test_the_end_of_a_process_is_noticed(pidfd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        waiting = threading.Thread(target=proxy._wait, args=(process.pid,), daemon=True)
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()
    proxy._wait(process.pid)
