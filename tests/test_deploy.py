"""The files of the Docker image and of the systemd unit name what there is."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from addons.config.settings import Settings
from addons.shutdown import FLUSH

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_gets_every_package_and_all_that_the_build_reads() -> None:
    copied = {
        name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {each.rstrip("*") for each in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert copied == {*packages, "pyproject.toml", "LICENSE", "README.md"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert copied == {each[1:] for each in ignored if each.startswith("!")}


def test_the_image_listens_for_all_and_keeps_its_authority_in_the_volume() -> None:
    entry = json.loads(re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)[0])
    assert entry[:4] == ["rotator", "start", "--listen-host", "0.0.0.0"]
    assert "confdir=/data/confdir" in entry
    assert re.findall(r"^VOLUME (.+)$", DOCKERFILE, re.MULTILINE) == ["/data"]


def unit_of(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd have capitals
    unit.read(ROOT / "deploy" / name)
    return unit


def test_the_unit_starts_the_command_with_keys_from_a_file() -> None:
    unit = unit_of("rotator.service")
    service = unit["Service"]
    assert shlex.split(service["ExecStart"])[:2] == ["%h/.local/bin/rotator", "start"]
    assert service["EnvironmentFile"] == "-%E/rotator/keys.env"
    assert unit["Install"]["WantedBy"] == "default.target"


def test_the_unit_of_a_team_listens_for_others_with_passwords() -> None:
    unit = unit_of("rotator-team.service")
    line = shlex.split(unit["Service"]["ExecStart"].replace("\\\n", " "))
    assert line[1:6] == ["start", "--listen-host", "0.0.0.0", "-p", "8080"]
    options = dict(each.split("=", 1) for each in line[6:] if each != "--set")
    assert options["proxyauth"].startswith("@")
    assert {"confdir", "rotator_config", "rotator_state"} < options.keys()
    assert unit["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("name", ["rotator.service", "rotator-team.service"])
def test_a_unit_waits_until_streams_have_ended(name: str) -> None:
    after = FLUSH + 20.0  # leases, files and the store
    assert float(unit_of(name)["Service"]["TimeoutStopSec"]) >= Settings().drain_timeout + after


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not on PATH: apt-get install haproxy")
def test_a_real_haproxy_takes_the_config_without_a_warning() -> None:
    checked = subprocess.run(
        ["haproxy", "-c", "-f", str(ROOT / "deploy" / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr
