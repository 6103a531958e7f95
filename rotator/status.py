"""`rotator status`: how the proxy's credentials do, and what its calls wait for."""

import json
import os
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from rotator import absent, found, status_text, terminal
from rotator.found import Address
from rotator.quantities import Data

app = typer.Typer(add_completion=False)


Port = Annotated[
    int | None, typer.Option("-p", "--port", help="Where the proxy listens; else by HTTPS_PROXY, or 8080.")
]
Json = Annotated[bool, typer.Option("--json", help="Print what http://rotator.local/status says.")]
Watch = Annotated[bool, typer.Option("--watch", help="Keep it on the screen, until Ctrl-C.")]

EVERY = 1.0
"""Seconds between two looks."""

_NO_TERMINAL = "--watch needs a terminal: `rotator status --json` is for programs"
_GONE = "the proxy does not answer any more: waiting for it to return (Ctrl-C ends)"


@app.command()
def status(port: Port = None, as_json: Json = False, watch: Watch = False) -> None:
    """Show the keys with their state and what is left of their limits, and the calls that are under way."""
    if watch and not as_json:
        _watch(port)
        return
    up = found.find(port)
    said = _status(up.address) if up else None
    if up is None or said is None:
        terminal.stderr().print(absent.message(port, os.environ), style="red", markup=False)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(said, indent=2))
        return
    for part in status_text.rendered(said, up.address.url):
        terminal.stdout().print(part)


def _status(address: Address) -> Data | None:
    answer = found.ask(address, "/status")
    return answer.data() if answer and answer.status == 200 else None


def _watch(port: int | None) -> None:
    console = terminal.stdout()
    if not console.is_terminal:
        terminal.stderr().print(
            "--watch needs a terminal: `rotator status --json` is for programs", style="red"
        )
        raise typer.Exit(2)
    try:
        with Live(console=console, auto_refresh=False) as live:
            for shown in _looks(port):
                live.update(shown, refresh=True)
    except KeyboardInterrupt:
        return


def _looks(port: int | None) -> Iterator[Group]:
    """What is to be shown, again and again."""
    seen = False
    while True:
        up = found.find(port)
        said = _status(up.address) if up else None
        if up and said is not None:
            seen = True
            yield Group(*status_text.rendered(said, up.address.url))
        else:
            yield Group(Text(_GONE if seen else absent.message(port, os.environ), style="red"))
        time.sleep(EVERY)
