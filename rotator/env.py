"""`rotator env`: the lines that send the tools of a shell through the proxy, or take that back."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from addons.config.client_variables import AUTHORITY, BUNDLE, NAMES, client_variables
from addons.config.shells import Shell, pasted, removing, shell_of
from rotator.absent import message
from rotator.found import PORT, Address, Found, find
from rotator.paths import default_confdir
from rotator.trust import NoAuthority, chosen_roots, prepare

app = typer.Typer(add_completion=False)


@app.command()
def env(
    shell: Annotated[Shell | None, typer.Option(help="Whose language. Default: that of your shell.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Print the lines that take them back.")] = False,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Where the proxy listens.")] = None,
) -> None:
    """Print the lines that send the tools of this shell through the proxy that is up.

    bash and zsh: eval "$(rotator env)"; fish: rotator env | source.
    """
    language = shell or shell_of(os.environ.get("SHELL", ""))
    if unset:
        typer.echo("\n".join(removing(language, NAMES)))
        return
    found = find(port)
    if found is None:
        # Without a port that somebody asked for, nothing is pasted that would send tools nowhere.
        typer.echo(f"rotator: {message(port, os.environ)}", err=True)
        if port is None:
            raise typer.Exit(1)
    typer.echo("\n".join(pasted(language, variables(found, port))))


def made(authority: str) -> str:
    """The bundle of a proxy that `rotator` did not start, so that it has none yet; what it trusts alone where
    none can be made."""
    folder = Path(authority).parent
    try:
        prepare(folder, chosen_roots(os.environ, folder))
    except NoAuthority:
        return authority
    return str(folder / BUNDLE)


def variables(found: Found | None, port: int | None) -> Mapping[str, str]:
    """Those of the proxy that is up, or of one that would be at `port`."""
    if found is not None:
        return client_variables(
            found.address.proxy_url, found.bundle or made(found.authority), found.authority
        )
    confdir = default_confdir()
    url = Address(port=PORT if port is None else port).url
    return client_variables(url, str(confdir / BUNDLE), str(confdir / AUTHORITY))
