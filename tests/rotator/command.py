"""The command `rotator` as a process of its own, in an environment of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def rotator(
    home: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    said: str = "",
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Runs it in `home`, which is its HOME too, with `said` on its standard input."""
    given = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **(environment or {})}
    return subprocess.run(
        [sys.executable, "-m", "rotator", *arguments],
        cwd=home,
        env=given,
        input=said,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        check=False,
    )
