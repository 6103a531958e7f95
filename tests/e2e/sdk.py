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


def is_older(sdk: str) -> bool:
    """Whether another environment has a newer SDK of the same maker."""
    return sdk.endswith("-older")


def marks(sdk: str) -> tuple[pytest.MarkDecorator, ...]:
    """Of a case that this SDK plays: one SDK speaks for a protocol unless the run is thorough."""
    return (pytest.mark.thorough,) if is_older(sdk) else ()


def python(sdk: str) -> Path:
    try:
        return interpreter(sdk)
    except SdkMissing as missing:
        pytest.skip(str(missing))
