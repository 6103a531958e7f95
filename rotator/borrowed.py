"""A proxy for a command's own use, on a free port of this machine, gone with it."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rotator import starting, trust
from rotator.found import Address, Found, at_address
from rotator.options import confdir, said

_STARTING = 20.0
"""Seconds until it has to serve."""
_INTERVAL = 0.1


class NoProxy(Exception):
    """It could not be started; the text says why."""


@contextmanager
def borrowed(variables: Mapping[str, str]) -> Iterator[Found]:
    """One that serves. Raises NoProxy."""
    folder = confdir(said([]), Path.home(), Path.cwd())
    try:
        trust.prepare(folder, trust.chosen_roots(variables, folder))
    except trust.NoAuthority as reason:
        raise NoProxy(str(reason)) from None
    address = Address(port=_free_port())
    options = ["-p", str(address.port), "--listen-host", address.host]
    line = starting.command_line("mitmdump", options)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            line,
            env=starting.environment(variables, address),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            if (found := _served(process, address)) is None:
                output.seek(0)
                raise NoProxy(output.read().decode(errors="replace").strip() or "it did not serve in time")
            yield found
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _served(process: subprocess.Popen[bytes], address: Address) -> Found | None:
    until = time.monotonic() + _STARTING
    while process.poll() is None and time.monotonic() < until:
        if found := at_address(address):
            return found
        time.sleep(_INTERVAL)
    return None
