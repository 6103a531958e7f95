"""The agents' packages: which versions, where they are installed, what they say they are.

They come from the npm registry or from PyPI, and lie outside the checkout: each in a folder of its own under
ROTATOR_AGENTS. Others are there anyhow: programs on PATH, and the SDKs of the tests.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from scripts import sdks

_INSTALLING = 600.0
_SPEAKING = 60.0
"""Seconds that npm, and an agent asked for its version, are given."""


class NotInstalled(Exception):
    """An agent is not there; the text is the reason."""


class Source(Enum):
    NPM = auto()
    PYPI = auto()
    PATH = auto()
    """It is installed already, in any version."""
    SDK = auto()
    """The Python that scripts/sdks.py has made for the pins of that name."""


@dataclass(frozen=True, slots=True)
class Package:
    """Where a command comes from. `program` is its name; `with_it` is installed beside it, NAME@VERSION."""

    name: str
    version: str
    program: str
    source: Source = Source.NPM
    with_it: tuple[str, ...] = ()


CLAUDE = Package("@anthropic-ai/claude-code", "2.1.329", "claude")
CODEX = Package("@openai/codex", "0.169.0", "codex")
GEMINI = Package("@google/gemini-cli", "0.61.0", "gemini")
OPENCODE = Package("opencode-ai", "1.18.33", "opencode")
AIDER = Package("aider-chat", "0.86.2", "aider", Source.PYPI)
CURL = Package("curl", "", "curl", Source.PATH)
PYTHON_SDK = Package("openai-current", "", "python", Source.SDK)
# A Node that takes a proxy from the environment, which the one on PATH may not.
NODE_SDK = Package("openai", "6.49.0", "node", with_it=("node@24.21.0",))


def folder() -> Path:
    """Where the agents lie: ROTATOR_AGENTS, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ROTATOR_AGENTS") or Path(cache) / "rotator" / "agents").absolute()


def program(package: Package) -> Path:
    """The agent's command, whether or not it is there."""
    match package.source:
        case Source.NPM:
            return _place(package) / "node_modules" / ".bin" / package.program
        case Source.PYPI:
            return _place(package) / "bin" / package.program
        case Source.PATH:
            return Path(shutil.which(package.program) or package.program)
        case Source.SDK:
            return sdks.folder() / package.name / "bin" / package.program


def installed(package: Package) -> bool:
    """Whether the pinned version is there."""
    if package.source is Source.NPM:
        return _npm_installed(package)
    if package.source is Source.PYPI:
        name = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
        return any(_place(package).glob(f"lib/python*/site-packages/{name}"))
    return program(package).exists()


def _npm_installed(package: Package) -> bool:
    manifest = _place(package) / "node_modules" / package.name / "package.json"
    if not (manifest.is_file() and program(package).exists()):
        return False
    version: object = json.loads(manifest.read_text())["version"]
    return version == package.version


def install(package: Package) -> None:
    """Install the pinned version. Raises NotInstalled with the reason."""
    if package.source in (Source.PATH, Source.SDK):
        raise NotInstalled(f"{package.program} is not there: install it, or run scripts/test for an SDK")
    place = _place(package)
    place.mkdir(parents=True, exist_ok=True)
    log = place.with_name(f"{place.name}.log")
    steps = _npm_steps(package) if package.source is Source.NPM else _pip_steps(package)
    if any(_logged(step, log) for step in steps) or not installed(package):
        raise NotInstalled(f"{_cause(log.read_text())} (see {log})")


def _npm_steps(package: Package) -> list[list[str]]:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not on PATH: install Node.js 20 or newer")
    options = ("--prefix", str(_place(package)), "--no-audit", "--no-fund", "--loglevel", "warn")
    return [[npm, "install", *options, *package.with_it, f"{package.name}@{package.version}"]]


def _pip_steps(package: Package) -> list[list[str]]:
    """aider does not run on Python 3.13."""
    python = sys.executable if sys.version_info < (3, 13) else shutil.which("python3.12")
    if python is None:
        raise NotInstalled("it needs Python 3.12, and there is no python3.12 on PATH")
    place = str(_place(package))
    pip = [f"{place}/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    return [[python, "-m", "venv", place], [*pip, f"{package.name}=={package.version}"]]


def _logged(command: Sequence[str], log: Path) -> int:
    with log.open("wb") as output:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_INSTALLING,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"npm did not end in {_INSTALLING:.0f} s: see {log}") from None


def said_version(package: Package) -> str:
    """The last line that `--version` prints; of curl how the first begins. Raises NotInstalled if the agent
    does not run."""
    try:
        with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as home:
            done = _asked_for_version(package, home)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotInstalled(f"{package.program} does not run: {fault}") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise NotInstalled(f"{package.program} does not run: {_cause(done.stderr)}")
    return lines[0].partition(" (")[0] if package.source is Source.PATH else lines[-1]


def _asked_for_version(package: Package, home: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program(package)), "--version"],
        env={"PATH": os.environ["PATH"], "HOME": home},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SPEAKING,
        check=False,
    )


def _place(package: Package) -> Path:
    return folder() / package.program


def _cause(said: str) -> str:
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith(("npm error", "Error"))]
    return (errors or lines[-1:] or ["no reason was given"])[0]
