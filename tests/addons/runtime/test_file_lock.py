"""A lock that one process has at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from addons.runtime.file_lock import locked

HOLDER = """
import sys
from pathlib import Path
from addons.runtime.file_lock import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time_and_none_after_its_process(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(TimeoutError, match="another process"), locked(file, 0.0):
            pass
        other.kill()
        other.wait()
    with locked(file, 0.0):
        pass


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    with pytest.raises(ZeroDivisionError), locked(file):
        _ = 1 / 0
    with locked(file, 0.0):
        pass


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are followed there")
def test_none_is_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "a.lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
