"""Runs one row: the fake provider, a mitmdump with the addon, and the agent with an empty home."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from addons.config.client_variables import BUNDLE, client_variables
from rotator import trust
from scripts.agentkit import provider
from scripts.agentkit.scenarios import NOTE, Row
from scripts.agentkit.verdict import Ran, Result, unsaid, verdict
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import Received, Vendor, VendorThread

REFUSE = Path(__file__).with_name("refuse.py")
COMMAND = Path(__file__).parents[2] / "rotator" / "__main__.py"
NOWHERE = "http://127.0.0.1:9"
PATIENCE = 90.0
"""Seconds after which an agent is killed."""


class ConfigRefused(Exception):
    """The proxy does not take the row's config; the text is what it said."""


def run(row: Row, program: Path, folder: Path, patience: float = PATIENCE) -> Result:
    """Run a row in `folder`, where its files stay: stdout, stderr, proxy.log, requests.json."""
    with VendorThread(Vendor(tls=not row.by_command, default=provider.Plan(row.script))) as vendor:
        try:
            ran = (_by_command if row.by_command else _by_proxy)(row, vendor, program, folder, patience)
        except ConfigRefused as refused:
            return Result(row.agent.name, row.scenario, f"config refused: {refused}")
        requests = list(vendor.requests)
    _save(folder / "requests.json", requests)
    reason = verdict(row, ran, requests) or unsaid(row, (folder / "proxy.log").read_text())
    return Result(row.agent.name, row.scenario, reason, ran.seconds)


def _by_proxy(row: Row, vendor: VendorThread, program: Path, folder: Path, patience: float) -> Ran:
    """In an environment of a proxy that is up."""
    with _proxy(row, vendor, folder) as proxy:
        return _agent(row, [str(program)], client_environment(proxy), folder, patience)


def _by_command(row: Row, vendor: VendorThread, program: Path, folder: Path, patience: float) -> Ran:
    """By `rotator run`. What it is started with is a config in its place, and a proxy of the shell that
    leads nowhere: agents call home, and a run with fake keys must not."""
    home = folder / "home"
    _write(home / ".config" / "rotator" / "rotator.toml", row.config_for(vendor.base_url))
    environment = {"PATH": os.environ["PATH"], "HTTPS_PROXY": NOWHERE}
    command = [sys.executable, "-P", str(COMMAND), "run", "--", str(program)]
    try:
        return _agent(row, command, environment, folder, patience)
    finally:
        logs = (home / ".local" / "state" / "rotator").glob("run-*.log")
        (folder / "proxy.log").write_text("".join(log.read_text() for log in logs))


@contextmanager
def _proxy(row: Row, vendor: VendorThread, folder: Path) -> Iterator[Proxy]:
    home = folder / "proxy"
    for path in (home, folder / "home"):
        path.mkdir()
    for name, text in row.files.items():
        _write(folder / name, text)
    options = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
    config = row.config_for(vendor.base_url)
    proxy = Proxy(home, config, keys=row.keys, options=options, scripts=(ADDON, REFUSE))
    try:
        _started(proxy)
        yield proxy
    finally:
        proxy.stop()
        (folder / "proxy.log").write_text(proxy.log)


def _write(file: Path, text: str) -> None:
    """For us alone: a login."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
    file.write_text(text)


def _started(proxy: Proxy) -> None:
    try:
        proxy.start()
        # It listens for a moment before it ends over a config, and says this of one that it has taken.
        proxy.wait_log(f"config: ./{proxy.config.name}")
    except AssertionError as fault:
        raise ConfigRefused(refusal(proxy.log, proxy.config) or str(fault)) from None


def refusal(log: str, config: Path) -> str:
    """What the proxy's log says against the config file; "" if nothing."""
    marked = f"{config}: "
    return "; ".join(line.partition(marked)[2] for line in log.splitlines() if marked in line)


def _agent(
    row: Row, begin: Sequence[str], variables: Mapping[str, str], folder: Path, patience: float
) -> Ran:
    home, work = folder / "home", folder / "work"
    work.mkdir()
    (work / NOTE).write_text(f"{provider.MARK}\n")
    environment = {**variables, "HOME": str(home)}
    if row.agent.variable:
        environment[row.agent.variable] = row.agent.key
    out, err = folder / "stdout", folder / "stderr"
    command = [*begin, *row.agent.arguments, row.agent.prompt]
    begun = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        status = _awaited(process, patience)
    seconds = time.monotonic() - begun
    return Ran(out.read_text(errors="replace"), err.read_text(errors="replace"), status, seconds)


def _awaited(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """The exit status, None if it is late; nothing of its session is left behind."""
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _kill_session(process)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    # When it has left nobody, there is no such session any more.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def client_environment(proxy: Proxy) -> Mapping[str, str]:
    """What `rotator start` prints for a user to paste, and PATH; nothing else of our own environment."""
    trust.prepare(proxy.confdir, "")
    bundle, authority = str(proxy.confdir / BUNDLE), str(proxy.ca)
    return {"PATH": os.environ["PATH"], **client_variables(proxy.url, bundle, authority)}


def _save(file: Path, requests: Sequence[Received]) -> None:
    seen = [
        {
            "method": each.method,
            "target": each.target,
            "credential": each.credential,
            "body": each.body.decode(errors="replace"),
        }
        for each in requests
    ]
    file.write_text(json.dumps(seen, indent=1))
