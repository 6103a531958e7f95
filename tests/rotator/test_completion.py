"""What shells complete after `rotator --install-completion`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.main import COMMANDS
from tests.rotator.command import ROOT, rotator


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the command on PATH."""
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "rotator"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m rotator "$@"\n')
    command.chmod(0o755)
    return tmp_path


def in_shell(home: Path, *line: str) -> list[str]:
    if not shutil.which(line[0]):
        pytest.skip(f"{line[0]} is not installed")
    variables = {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home), "TERM": "dumb"}
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def installed(home: Path, shell: str) -> None:
    """By the command as a user of that shell runs it: typer looks at the process that called it."""
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    variables = {"PATH": f"{home}/bin:{os.environ['PATH']}", "HOME": str(home)}
    line = [shell, "-c", "rotator --install-completion; true"]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=True)
    assert f"{shell} completion installed" in done.stdout, done.stderr


BASH = (
    'source "$HOME/.bash_completions/rotator.sh"; COMP_WORDS=({}); COMP_CWORD={}; '
    '_rotator_completion rotator; printf "%s\\n" "${{COMPREPLY[@]}}"'
)


def test_bash(home: Path) -> None:
    installed(home, "bash")
    assert "rotator.sh" in (home / ".bashrc").read_text()
    assert set(in_shell(home, "bash", "-c", BASH.format("rotator ''", 1))) == set(COMMANDS)
    assert in_shell(home, "bash", "-c", BASH.format("rotator en", 1)) == ["env"]
    assert "--unset" in in_shell(home, "bash", "-c", BASH.format("rotator env --", 2))
    assert "fish" in in_shell(home, "bash", "-c", BASH.format("rotator env --shell ''", 3))
    assert "show" in in_shell(home, "bash", "-c", BASH.format("rotator trace ''", 2))


def test_fish(home: Path) -> None:
    installed(home, "fish")
    found = in_shell(home, "fish", "-c", "complete -C 'rotator en'")
    assert found[0] == "env"


def test_zsh(home: Path) -> None:
    """What its script asks for, since zsh itself is seldom installed."""
    asked = {"_ROTATOR_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "rotator en"}
    said = rotator(home, environment=asked).stdout
    assert said.startswith('_arguments \'*: :(("env":"Print '), said
