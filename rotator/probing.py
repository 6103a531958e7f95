"""Has a program ask the proxy's own host of a probe, and asks the proxy what arrived there."""

import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rotator import found
from rotator.found import HOST, Address
from rotator.runtimes import Ask, Runtime

_INTERVAL = 0.2
"""Seconds between two looks at what arrived."""
_GRACE = 10.0
"""Seconds that a program may take from its CONNECT to its request: some try again without a word."""
_LONGEST_MESSAGE = 160
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TELLING = re.compile(r"error|cert|trust|resolve|ENOTFOUND|refused|proxy|invalid", re.IGNORECASE)


class Arrival(Enum):
    """How far a program came."""

    ANSWERED = "through the proxy, and trusts it"
    DISTRUSTED = "through the proxy, but does not trust its certificate"
    PAST = "past the proxy"


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of one probe."""

    arrival: Arrival
    message: str = ""
    """What the program wrote last about what failed."""


def probe(runtime: Runtime, program: str, environment: Mapping[str, str], proxy: Address) -> Probed:
    """Run `program` with `environment`, until it has asked, ends or takes too long."""
    name = secrets.token_hex(8)
    ask = runtime.ask(f"{name}.{HOST}")
    with tempfile.TemporaryDirectory(prefix="rotator-doctor-") as folder:
        place = Path(folder)
        for file, text in ask.files.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_text(text)
        with (place / "output").open("w+b") as output:
            process = subprocess.Popen(
                [program, *ask.arguments],
                cwd=place,
                env={**environment, **ask.environment, **_home(ask, place)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                arrival = _arrival(process, name, proxy, runtime.patience)
            finally:
                _end(process)
            output.seek(0)
            return Probed(arrival, _message(output.read()))


def _home(ask: Ask, folder: Path) -> Mapping[str, str]:
    """An empty home, for what the program finds by its own variables too."""
    if not ask.has_own_home:
        return {}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    moved = {"XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share", "XDG_STATE_HOME": ".local/state"}
    tools = {"XDG_CACHE_HOME": ".cache", "CLAUDE_CONFIG_DIR": ".claude", "CODEX_HOME": ".codex"}
    for name in (*moved.values(), *tools.values()):
        (home / name).mkdir(parents=True, exist_ok=True)
    return {"HOME": str(home), **{name: str(home / path) for name, path in (moved | tools).items()}}


def _arrival(process: subprocess.Popen[bytes], name: str, proxy: Address, patience: float) -> Arrival:
    until = time.monotonic() + patience
    reached = False
    while True:
        ended = process.poll() is not None
        seen = _seen(name, proxy)
        if seen.get("answered"):
            return Arrival.ANSWERED
        if seen.get("reached") and not reached:
            reached, until = True, min(until, time.monotonic() + _GRACE)
        if ended or time.monotonic() > until:
            return Arrival.DISTRUSTED if reached else Arrival.PAST
        time.sleep(_INTERVAL)


def _seen(name: str, proxy: Address) -> Mapping[str, object]:
    answer = found.ask(proxy, f"/probe?id={name}")
    return answer.data() if answer else {}


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _message(output: bytes) -> str:
    """The last line that tells something, else the last."""
    plain = _COLOURS.sub("", output.decode(errors="replace"))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    return next(reversed(telling or lines), "")[:_LONGEST_MESSAGE]
