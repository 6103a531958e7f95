"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded provider streams that ROTATOR_RECORDED names; skips where there is none."""
    named = os.environ.get("ROTATOR_RECORDED", "")
    if not named:
        pytest.skip("ROTATOR_RECORDED is not set: no recorded streams to replay")
    if not Path(named).is_dir():
        pytest.skip(f"ROTATOR_RECORDED={named} is not a folder: no recorded streams to replay")
    return Path(named)
