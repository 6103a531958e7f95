"""The command's list of subcommands."""

import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from addons.runtime.version import VERSION
from rotator.main import COMMANDS, app


def test_the_versions() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.output.startswith(f"rotator {VERSION}, mitmproxy ")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_subcommand_has_a_module_and_help(name: str) -> None:
    assert isinstance(import_module(COMMANDS[name].module).app, typer.Typer)
    done = CliRunner().invoke(app, [name, "--help"], prog_name="rotator")
    assert done.exit_code == 0, done.output
    assert "--install-completion" not in done.output, "Typer(add_completion=False)"
    assert f"rotator {name}" in done.output


def test_help_lists_all_and_loads_none() -> None:
    """Nor mitmproxy, which takes longer than all else."""
    modules = {"mitmproxy", *(one.module for one in COMMANDS.values())}
    script = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from rotator.main import app\n"
        "try: app()\n"
        f"finally: print('loaded', sorted(set(sys.modules) & {modules!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "loaded []" in done.stdout
    assert all(f" {name} " in done.stdout for name in COMMANDS)
