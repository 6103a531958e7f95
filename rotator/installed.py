"""Which of the programs that `rotator doctor` knows are here."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from rotator.runtimes import LIBRARIES, LIBRARY_TRUST, RUNTIMES, Runtime, python

_PYTHONS = ("python3", "python")
_PATIENCE = 10.0
_LOOK = (
    "import importlib.util as u, json, os, sys; "
    "print(json.dumps([os.path.realpath(sys.prefix), [m for m in sys.argv[1:] if u.find_spec(m)]]))"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """A program that is here."""

    runtime: Runtime
    path: str
    """Of its file."""


def installed(path: str) -> list[Installed]:
    """Those on `path`, a PATH."""
    pairs = ((runtime, shutil.which(runtime.program, path=path)) for runtime in RUNTIMES)
    return [*_pythons(path), *(Installed(runtime, found) for runtime, found in pairs if found)]


def _pythons(path: str) -> Iterator[Installed]:
    """Each Python once, with each of its clients."""
    known = set[str]()
    for name in _PYTHONS:
        found = shutil.which(name, path=path)
        place, modules = _look(found) if found else ("", [])
        if found is None or place in known or not modules:
            continue
        known.add(place)
        for module in modules:
            trust = LIBRARY_TRUST.get(module, ("SSL_CERT_FILE",))
            runtime = Runtime(f"{name} ({module})", name, python(module), trust, patience=30.0)
            yield Installed(runtime, found)


def _look(program: str) -> tuple[str, list[str]]:
    """Where a Python really is, and which clients it has."""
    try:
        done = subprocess.run(
            [program, "-c", _LOOK, *LIBRARIES], capture_output=True, timeout=_PATIENCE, check=True, cwd="/"
        )
        place, modules = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", []
    return str(place), [str(module) for module in modules]
