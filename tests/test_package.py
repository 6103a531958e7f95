"""What an installation by pip has: all that a checkout needs to run."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.preloaded import give_certificates

ROOT = Path(__file__).parent.parent
LAYERS = ("addons", "protocols", "rewrite", "rotator")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of a copy: setuptools leaves folders where it builds."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, source / layer, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / file, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(made), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("setuptools cannot be had from the package registry")
    assert done.returncode == 0, done.stderr
    (found,) = made.glob("rotator-*.whl")
    return found


def test_each_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    files = (file for layer in LAYERS for file in (ROOT / layer).rglob("*") if file.is_file())
    ours = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts}
    assert not ours - names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_the_command_runs_from_it(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    give_certificates(tmp_path / ".mitmproxy")
    script = 'curl -sS -x "$HTTPS_PROXY" http://rotator.local/health'
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rotator", "run", "--", "sh", "-c", script],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "ok"
