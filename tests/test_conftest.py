"""Which examples a run of the tests takes and what it leaves out, in a small suite with our conftest."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = """
import pathlib
import pytest
from hypothesis import given, strategies

drawn = []

@given(strategies.integers())
def test_property(number):
    drawn.append(number)

@pytest.mark.thorough
def test_older():
    pass

def test_examples_are_kept():
    pathlib.Path("drawn").write_text(repr(drawn))
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_small.py").write_text(SUITE)
    return tmp_path


def ran(suite: Path, *options: str) -> tuple[str, list[str]]:
    """What a run printed, and the examples of its property."""
    command = [sys.executable, "-m", "pytest", "-o", "markers=thorough", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout, re.findall(r"-?\d+", (suite / "drawn").read_text())


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "worker"])
@pytest.mark.parametrize("ci", ["", "true"], ids=["by hand", "in CI"])
def test_examples_are_other_ones_each_time_and_the_same_by_their_seed(
    suite: Path, workers: tuple[str, ...], ci: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    said, examples = ran(suite, *workers)
    found = re.search(r"100 random examples a property, by (--hypothesis-seed=\d+)", said)
    assert found, said
    assert len(examples) == 100
    assert ran(suite, found[1])[1] == examples
    assert ran(suite)[1] != examples


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "worker"])
def test_what_is_left_out_is_counted(suite: Path, workers: tuple[str, ...]) -> None:
    said, _ = ran(suite, *workers)
    assert "1 cases of older SDKs are left out; --thorough plays them too" in said
    assert "2 passed" in said


def test_a_thorough_run_leaves_nothing_out(suite: Path) -> None:
    said, examples = ran(suite, "--thorough")
    assert "3 passed" in said
    assert "left out" not in said
    assert len(examples) == 1000
