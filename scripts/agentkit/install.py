"""The agents' packages: which versions, where they are installed, what they say they are.

They come from the npm registry, and lie outside the checkout: each in a folder of its own under
ROTATOR_AGENTS.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTALLING = 600.0
_SPEAKING = 60.0
"""Seconds that npm, and an agent asked for its version, are given."""


class NotInstalled(Exception):
    """An agent is not there; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the registry. `program` is the name of its command."""

    name: str
    version: str
    program: str


CLAUDE = Package("@anthropic-ai/claude-code", "2.1.329", "claude")
CODEX = Package("@openai/codex", "0.169.0", "codex")
GEMINI = Package("@google/gemini-cli", "0.61.0", "gemini")
OPENCODE = Package("opencode-ai", "1.18.33", "opencode")


def folder() -> Path:
    """Where the agents lie: ROTATOR_AGENTS, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ROTATOR_AGENTS") or Path(cache) / "rotator" / "agents").absolute()


def program(package: Package) -> Path:
    """The agent's command, whether or not it is there."""
    return _place(package) / "node_modules" / ".bin" / package.program


def installed(package: Package) -> bool:
    """Whether the pinned version is there."""
    manifest = _place(package) / "node_modules" / package.name / "package.json"
    if not (manifest.is_file() and program(package).exists()):
        return False
    version: object = json.loads(manifest.read_text())["version"]
    return version == package.version


def install(package: Package) -> None:
    """Install the pinned version. Raises NotInstalled with npm's reason."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not on PATH: install Node.js 20 or newer")
    place = _place(package)
    place.mkdir(parents=True, exist_ok=True)
    log = place.with_name(f"{place.name}.log")
    options = ("--prefix", str(place), "--no-audit", "--no-fund", "--loglevel", "warn")
    status = _logged([npm, "install", *options, f"{package.name}@{package.version}"], log)
    if status or not installed(package):
        raise NotInstalled(f"{_cause(log.read_text())} (see {log})")


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
    """The last line that `--version` prints. Raises NotInstalled if the agent does not run."""
    try:
        with tempfile.TemporaryDirectory(prefix="agent-", ignore_cleanup_errors=True) as home:
            done = _asked_for_version(package, home)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotInstalled(f"{package.program} does not run: {fault}") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise NotInstalled(f"{package.program} does not run: {_cause(done.stderr)}")
    return lines[-1]


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
