"""Installs the clients' SDKs that the end-to-end tests drive, each generation in an environment of its own.

    python -m scripts.sdks

The pins are tests/e2e/sdks/NAME.txt; the environments lie outside the checkout, in ROTATOR_SDKS/NAME, and are
made again when the pins or the Python change. What can't be installed is said, and the reason is kept for the
tests that are skipped by it.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PINS = Path(__file__).parent.parent / "tests" / "e2e" / "sdks"
# Two at a time: building waits for the network and for one core in turns.
_AT_ONCE = 2


class SdkMissing(Exception):
    """An SDK is not installed; the text is the reason, fit for pytest.skip."""


def folder() -> Path:
    """Where the environments lie: ROTATOR_SDKS, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ROTATOR_SDKS") or Path(cache) / "rotator" / "sdks")


def interpreter(name: str) -> Path:
    """The Python of the environment for tests/e2e/sdks/NAME.txt. Raises SdkMissing with the reason."""
    made = folder() / name
    if _stamp(made) == fingerprint(name):
        return made / "bin" / "python"
    reason = _reason_file(made)
    raise SdkMissing(reason.read_text() if reason.is_file() else f"{name} is not installed: run scripts/test")


def fingerprint(name: str) -> str:
    """What an environment is made from: the pins and this Python."""
    made_from = (PINS / f"{name}.txt").read_text() + sys.version + sys.base_prefix
    return hashlib.sha256(made_from.encode()).hexdigest()


def build(name: str) -> str:
    """Makes the environment unless it stands, and says in a line what was done; nothing if it stood."""
    made = folder() / name
    made.parent.mkdir(parents=True, exist_ok=True)
    with _locked(made.with_name(f"{name}.lock")):
        if _stamp(made) == fingerprint(name):
            return ""
        complaint = _install(name, made)
        if complaint:
            reason = f"{name} could not be installed: {complaint}"
            _reason_file(made).write_text(reason)
            return reason
        _reason_file(made).unlink(missing_ok=True)
        # Last, so that an interrupted installation is made anew.
        (made / "rotator.stamp").write_text(fingerprint(name))
        return f"{name} is installed in {made}"


def _install(name: str, made: Path) -> str:
    pip = [
        str(made / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
    ]
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(made)],
        [*pip, "--retries", "2", "-r", str(PINS / f"{name}.txt")],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            return _cause(done.stderr or done.stdout)
    return ""


def _cause(said: str) -> str:
    # pip warns of each failed connection, and then says that there is no such package.
    if "connection broken by" in said:
        return "the package registry can't be reached"
    lines = said.strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason was given"])[-1].removeprefix("ERROR: ")


def _stamp(made: Path) -> str:
    stamp = made / "rotator.stamp"
    return stamp.read_text() if stamp.is_file() and (made / "bin" / "python").exists() else ""


def _reason_file(made: Path) -> Path:
    return made.with_name(f"{made.name}.missing")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    # Two runs of the tests may build at once; the lock goes with its process, however that ends.
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Builds all, and prints a line for each that was missing."""
    names = sorted(pins.stem for pins in PINS.glob("*.txt"))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for line in filter(None, pool.map(build, names)):
            print(f"rotator: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
