"""Runs an unmodified SDK in its own environment: it knows the proxy by environment variables alone."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.sdks import SdkMissing, interpreter

CLIENTS = Path(__file__).parent / "clients"


def run(
    sdk: str, client: str, environment: Mapping[str, str], *, timeout: float = 60, **job: object
) -> dict[str, Any]:
    """Run clients/CLIENT.py under the SDK's interpreter with `job` as JSON; its JSON answer.

    Skips, with the reason, where the SDK could not be installed.
    """
    done = subprocess.run(
        [str(python(sdk)), str(CLIENTS / f"{client}.py"), json.dumps(job)],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def python(sdk: str) -> Path:
    try:
        return interpreter(sdk)
    except SdkMissing as missing:
        pytest.skip(str(missing))
