"""The command `rotator`: its subcommands, one module each."""

import platform
from importlib.metadata import version
from typing import Annotated

import typer

from addons.runtime.version import VERSION

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


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
