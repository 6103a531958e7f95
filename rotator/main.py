"""The command `rotator`: its subcommands, one module each, of which the one that is asked for is loaded."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from addons.runtime.version import VERSION


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of a subcommand without its module."""

    module: str
    """Has its `app`, a `typer.Typer(add_completion=False)`."""
    help: str
    """Its line in `rotator --help`."""


COMMANDS: Mapping[str, Listed] = {
    "run": Listed("rotator.run", "Run a tool through the proxy."),
    "start": Listed("rotator.start", "Start the proxy in this terminal."),
    "env": Listed("rotator.env", "Print the lines that send a shell's tools through the proxy."),
    "init": Listed("rotator.init", "Write a config from the keys and the logins that are here."),
    "check": Listed("rotator.check", "Show what a config comes to, or what is wrong with it."),
    "doctor": Listed("rotator.doctor", "Try which tools come through the proxy, and say what to paste."),
    "status": Listed("rotator.status", "Show how the keys do, and the calls that are under way."),
    "usage": Listed("rotator.usage", "Show what calls used and cost."),
    "prices": Listed("rotator.prices", "Show what a model costs, or take a newer list of prices."),
    "statusline": Listed("rotator.statusline", "Print one line for the status line of Claude Code."),
    "trace": Listed("rotator.trace", "Look at the traces of calls."),
    "demo": Listed("rotator.demo.command", "Show in half a minute what the proxy does, without a key."),
}
"""By name, as `rotator --help` lists them."""


class Lazy(TyperCommand):
    """Stands in the list for a subcommand, and loads it when it is asked for, by a user or a completion."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        loaded = get_command(import_module(COMMANDS[str(self.name)].module).app)
        return loaded.make_context(info_name, args, parent, **extra)


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _listed() -> None:
    """Never called: `Lazy` hands over before that."""


for _name, _one in COMMANDS.items():
    app.command(_name, cls=Lazy, help=_one.help)(_listed)


def _versions(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rotator {VERSION}, mitmproxy {version('mitmproxy')}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_versions, is_eager=True, help="Print the versions.")
    ] = False,
) -> None:
    """A proxy for LLM tools: rotates keys, retries stalls, ends cut streams honestly."""
    try:
        Path.cwd()
    except OSError:
        typer.echo("rotator: the current folder is gone: change to another one (cd ~)", err=True)
        raise typer.Exit(1) from None
