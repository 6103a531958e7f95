"""A proxy of one's own on a free port, for as long as this process lives, or what it becomes."""

import os
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from addons.runtime.private_folder import make_private
from rotator import starting
from rotator.detached import Detached, detached
from rotator.found import Address, Found, at_address
from rotator.options import Listening
from rotator.paths import state_folder
from rotator.ports import WEB, free_port

KEPT = 20
"""Logs of former proxies."""
_PATIENCE, _STEP = 60.0, 0.03
"""Seconds for a proxy to serve, and between two looks."""
_PAGE = 3.0
"""Seconds for mitmweb to say where its page is."""
_TOKEN = re.compile(r"http://\S+/\?token=\w+")
_LINES = 12
_TIME = re.compile(r"^\[\d\d:\d\d:\d\d(?:\.\d+)?\] ?")
_IDLE = re.compile(r"^Loading script | client (?:dis)?connect|^\[|http://rotator\.local/|^ +<< ")


@dataclass(frozen=True, slots=True)
class NotServing(Exception):
    """It did not come to serve."""

    log: Path
    """What it printed."""

    def __str__(self) -> str:
        said = "\n".join(f"  {line}" for line in last_lines(self.log))
        return f"the proxy did not start; its log, {self.log}, ends with:\n{said}"


def begin(port: int, *, web: bool, environment: Mapping[str, str]) -> Found:
    """Starts one, and waits until it serves. Raises NotServing, and OSError where there is no place for its
    log."""
    where = Listening("127.0.0.1", port or free_port())
    address = Address(where.host, where.port)
    log = _log(state_folder())
    options = ["-p", str(where.port), *(("--set", f"web_port={free_port(WEB)}") if web else ())]
    line = starting.command_line(
        "mitmweb" if web else "mitmdump",
        starting.with_defaults(options, Listening("", where.port)),
        while_pid=os.getpid(),
    )
    begun = detached(line, starting.environment(environment, address), log)
    found = _awaited(begun, address, log)
    return replace(found, web=_with_token(found.web, log)) if found.web else found


def _with_token(web: str, log: Path) -> str:
    """The address of mitmweb's page with the token that it wants, which its log has; a password that the
    user has chosen is not there."""
    due = time.monotonic() + _PAGE
    while time.monotonic() < due:
        if found := _TOKEN.search(log.read_text(errors="replace")):
            return found[0]
        time.sleep(_STEP)
    return web


def _awaited(begun: Detached, address: Address, log: Path) -> Found:
    due = time.monotonic() + _PATIENCE
    while not begun.ended(_STEP):
        found = at_address(address)
        if found and found.pid == begun.pid and found.status == "ok":
            return found
        if time.monotonic() > due:
            begun.stop()
            break
    raise NotServing(log)


def _log(folder: Path) -> Path:
    """Where this proxy writes; logs of the oldest others are removed."""
    make_private(folder)
    former = sorted(folder.glob("run-*.log"), key=lambda file: file.stat().st_mtime)
    for file in former[: max(0, len(former) - KEPT + 1)]:
        file.unlink(missing_ok=True)
    log = folder / f"run-{os.getpid()}.log"
    log.unlink(missing_ok=True)
    return log


def last_lines(log: Path) -> list[str]:
    """How it ends, each line once, without times and what says nothing of a cause."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            lines = [_TIME.sub("", line.rstrip()) for line in deque(file, _LINES)]
    except OSError:
        return []
    return list(dict.fromkeys(line for line in lines if line and not _IDLE.search(line)))
