"""`rotator demo`: the five moments, in the shell of somebody who has set everything that can be set."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from rotator.demo import command, text
from rotator.demo.moments import MOMENTS
from rotator.demo.stage import Played, Seen
from tests.rotator.command import ROOT, rotator

SHELL = {
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "openai.com",
    "CURL_CA_BUNDLE": "/nowhere.pem",
    "REQUESTS_CA_BUNDLE": "/nowhere.pem",
    "SSL_CERT_FILE": "/nowhere.pem",
    "SSL_CERT_DIR": "/nowhere",
    "OPENAI_API_KEY": "sk-of-the-user-of-this-shell",
    "OPENAI_API_KEY_1": "sk-of-the-user-of-this-shell-1",
    "OPENAI_BASE_URL": "http://127.0.0.1:9",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "ROTATOR__RETRY__MAX_ATTEMPTS": "nonsense",
}
WHOLE = '"Quite well, thank you: this answer is whole.", finish:'
HALF = '"Quite well, thank you:", '


def running(folder: Path) -> list[str]:
    """The command lines of processes that are about something in `folder`."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demo has its own folder, and the user a config that is wrong."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "rotator.toml").write_text("nonsense = [")
    return tmp_path


def test_five_moments_without_and_with_the_proxy(folder: Path) -> None:
    done = rotator(folder, "demo", environment={**SHELL, "TMPDIR": str(folder / "tmp")}, timeout=180)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    without = [line.removeprefix("without").strip() for line in lines if line.startswith("without")]
    through = [line.removeprefix("through").strip() for line in lines if line.startswith("through")]
    timeout = ("APITimeoutError", "ReadTimeout")  # the second is that of older SDKs
    names = (("RateLimitError",), timeout, (HALF,), ("InternalServerError",), ("AuthenticationError",))
    assert [line.startswith(name) for line, name in zip(without, names, strict=True)] == [True] * 5
    assert "then " in without[2]
    ends = (f"{WHOLE} stop", f"{WHOLE} stop", f"{HALF}finish: length", f"{WHOLE} stop", f"{WHOLE} end_turn")
    assert [line.startswith(end) for line, end in zip(through, ends, strict=True)] == [True] * 5
    answered = ("spare, openai/two", "spare, openai/two", "truncated, openai/one", "fallback, backup/")
    assert [f"({what}" in done.stdout for what in (*answered, "ok, openai/one)")] == [True] * 5
    assert ([*(folder / "tmp").iterdir()], running(folder / "tmp")) == ([], [])
    assert {each.name for each in folder.iterdir()} == {"tmp", "rotator.toml"}


SHOWN = """\
2  The provider accepts a call, and then says nothing
   without  "Well", then ReadTimeout: too long  5.0 s
            (a timeout for the demo; by itself the SDK waits
            600 s)
   through  "Well.", finish: stop  2.1 s
            The proxy asked again, with the other key, after
            2 s of silence (by default after 60 s or more).
            (spare, openai/two)
"""


def test_a_moment_fits_a_narrow_terminal() -> None:
    console = Console(width=60, color_system=None)
    known = {"verdict": "spare", "provider": "openai", "credential": "two"}
    played = Played(Seen("Well", None, "ReadTimeout: too long", 5.0), Seen("Well.", "stop", "", 2.1), known)
    with console.capture() as captured:
        for line in text.moment(2, MOMENTS[1], played, console):
            console.print(line)
    assert [line.rstrip() for line in captured.get().splitlines()] == SHOWN.splitlines()


def test_one_that_is_ended_leaves_nothing(folder: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
    }
    line = [sys.executable, "-m", "rotator", "demo"]
    with subprocess.Popen(line, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "1  The rate limit" not in (said := process.stdout.readline()):
            assert said, "it ended by itself"
        assert running(folder / "tmp")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert ([*(folder / "tmp").iterdir()], running(folder / "tmp")) == ([], [])


def test_an_sdk_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_SDKS", ("openai", "no_such_sdk"))
    done = CliRunner().invoke(command.app, [])
    assert done.exit_code == 1
    assert "the SDK of no_such_sdk is not installed: pip install no_such_sdk" in done.output
