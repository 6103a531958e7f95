"""Which Node runs a tool, and whether that sends its calls through a proxy."""

import re
import shutil
import subprocess
from pathlib import Path

type Version = tuple[int, int, int]

_PATIENCE = 5.0
_NAMES = ("node", "nodejs")
_READ_IT = ("gemini",)
"""Tools for Node that go through HTTPS_PROXY themselves: measured with Node 20 and gemini-cli 0.61."""
_SHEBANG = re.compile(rb"#!.*\b(?:node|nodejs)\b")
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def node_of(program: Path, path: str) -> Path | None:
    """The Node that a program is, or whose script it is, by PATH. None: it is something else."""
    if program.name in _NAMES:
        return program
    try:
        with program.open("rb") as file:
            line = file.readline(200)
    except OSError:
        return None
    found = shutil.which("node", path=path) if _SHEBANG.match(line) else None
    return Path(found) if found else None


def version_of(node: Path) -> Version | None:
    """What it says of itself. None: it does not run."""
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.match(done.stdout)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def uses_proxy(version: Version) -> bool:
    """Whether its own `fetch` follows NODE_USE_ENV_PROXY: from 24.0 on, and from 22.21 on in that line
    (https://nodejs.org/blog/release/v22.21.0)."""
    return version >= (24,) or (22, 21) <= version < (23,)


def warning(program: Path, path: str) -> str:
    """What a user has to know of the Node of a program; empty: nothing."""
    node = None if program.name in _READ_IT else node_of(program, path)
    version = version_of(node) if node else None
    if version is None or uses_proxy(version):
        return ""
    return (
        f"Node {'.'.join(map(str, version))} ({node}) takes no proxy from the environment, so the calls of "
        f"{program.name} go past rotator, unless it does so itself: use Node 24, or 22.21 or later of Node 22"
    )
