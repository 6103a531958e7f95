"""What the demo is played on: a proxy of its own in a folder of its own, and the clients."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from addons.config.client_variables import client_variables
from rotator import found, starting, trust
from rotator.demo.moments import KEYS, Moment, config
from rotator.demo.provider import Provider
from rotator.found import Address, Found
from rotator.own_proxy import NotServing
from rotator.ports import free_port

_CLIENTS = Path(__file__).with_name("clients")
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
"""Of the shell: nothing that says where calls go, whom to trust, or with which key."""
_STARTING, _LOOKING = 30.0, 0.05
"""Seconds in which a proxy has to be up, and between two looks."""
_CALLING = 40.0
"""Seconds that a client may take."""


class NotPlayed(Exception):
    """What was missing, for the user."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client got of a call."""

    text: str
    finish: str | None
    """The reason that its SDK gives. None: it had none."""
    error: str
    """The exception that its SDK raised. Empty: none."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a moment."""

    without: Seen
    through: Seen
    answered: Mapping[str, Any]
    """What the proxy says of the call."""


class Stage:
    """`provider` is at `url`, the proxy is `up`."""

    def __init__(self, folder: Path, url: str, up: Found) -> None:
        self._folder, self._url, self._up = folder, url, up

    def play(self, number: int, moment: Moment) -> Played:
        """Both at once: the call without the proxy, and the same through it."""
        job = {"key": moment.key, "model": moment.model, "session": f"moment-{number}-of-the-demo"}
        base_url = f"{self._url}/v1" if moment.sdk == "openai_sdk" else self._url
        direct = {**job, "base_url": base_url, "timeout": moment.timeout}
        proxied = {**job, "base_url": None, "timeout": None}
        variables = client_variables(self._up.address.proxy_url, self._up.bundle, self._up.authority)
        with ThreadPoolExecutor(2) as both:
            without = both.submit(self._call, moment.sdk, direct, {})
            through = both.submit(self._call, moment.sdk, proxied, variables)
        return Played(without.result(), through.result(), self._answered(job["session"]))

    def _call(self, sdk: str, job: Mapping[str, object], variables: Mapping[str, str]) -> Seen:
        done = subprocess.run(
            [sys.executable, "-P", str(_CLIENTS / f"{sdk}.py"), json.dumps(job)],
            env={**clean(self._folder), **variables},
            capture_output=True,
            text=True,
            timeout=_CALLING,
            check=False,
        )
        if done.returncode:
            raise NotPlayed(f"the client failed: {done.stderr.strip()}")
        return Seen(**json.loads(done.stdout))

    def _answered(self, session: str) -> Mapping[str, Any]:
        answer = found.ask(self._up.address, f"/statusline?session={session}")
        last = answer.data().get("last") if answer else None
        return last if isinstance(last, dict) else {}


def clean(folder: Path) -> dict[str, str]:
    """An environment that has nothing of the user's."""
    return {"HOME": str(folder), **{name: os.environ[name] for name in _KEPT if name in os.environ}}


@contextmanager
def stage() -> Iterator[Stage]:
    """Raises NotPlayed where the proxy does not start."""
    with TemporaryDirectory(prefix="rotator-demo-") as name, Provider() as provider:
        folder = Path(name)
        with _proxy(folder, provider.url) as up:
            yield Stage(folder, provider.url, up)


@contextmanager
def _proxy(folder: Path, url: str) -> Iterator[Found]:
    (folder / "rotator.toml").write_text(config(url))
    (folder / "rotator.toml").chmod(0o600)
    try:
        trust.prepare(folder, "")
    except trust.NoAuthority as reason:
        raise NotPlayed(f"the certificate authority could not be made: {reason}") from None
    address, log = Address(port=free_port()), folder / "log"
    sets = (f"confdir={folder}", f"rotator_config={folder / 'rotator.toml'}")
    options = ["--listen-host", address.host, "-p", str(address.port)]
    options += [part for each in sets for part in ("--set", each)]
    line = starting.command_line("mitmdump", options, while_pid=os.getpid())
    with log.open("wb") as output:
        process = subprocess.Popen(
            line,
            env={**clean(folder), **KEYS},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _up(address, process, log)
    finally:
        process.terminate()
        process.wait()


def _up(address: Address, process: subprocess.Popen[bytes], log: Path) -> Found:
    end = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < end:
        if up := found.at_address(address):
            return up
        time.sleep(_LOOKING)
    raise NotPlayed(str(NotServing(log)))
