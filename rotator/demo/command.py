"""`rotator demo`: plays the five moments, beside what a client sees of them without the proxy."""

import signal
import sys
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

import typer

from rotator import terminal
from rotator.demo import text
from rotator.demo.moments import MOMENTS
from rotator.demo.stage import NotPlayed, stage
from rotator.paths import command

app = typer.Typer(add_completion=False)

_SDKS = ("openai", "anthropic")


@app.command()
def demo() -> None:
    """Show in half a minute what the proxy does: a used-up key, silence, a cut, a fallback, a translation.

    It needs no key, asks nobody on the network, and leaves nothing behind.
    """
    if missing := [name for name in _SDKS if find_spec(name) is None]:
        _fail(
            f"the SDK of {' and '.join(missing)} is not installed: {_installed_by(' '.join(missing))}, "
            "or run `scripts/rotator demo` in a checkout"
        )
    signal.signal(signal.SIGTERM, _ended)
    try:
        _play()
    except NotPlayed as reason:
        _fail(str(reason))


def _installed_by(missing: str) -> str:
    """Where each command has an environment of its own, pip is another one's."""
    return f"pip install {missing} (where pipx installed rotator: pipx inject rotator {missing})"


def _play() -> None:
    console = terminal.stdout()
    console.print(text.BEFORE)
    with console.status("the proxy starts") as status, stage() as played_on:
        for number, moment in enumerate(MOMENTS, 1):
            status.update(f"{number} of {len(MOMENTS)}: {moment.title}")
            console.print()
            for line in text.moment(number, moment, played_on.play(number, moment), console):
                console.print(line)
    console.print()
    console.print(text.after(command()))


def _ended(_signal: int, _frame: FrameType | None) -> NoReturn:
    """What was started ends with us."""
    sys.exit(128 + signal.SIGTERM)


def _fail(reason: str) -> NoReturn:
    typer.echo(f"rotator: {reason}", err=True)
    raise typer.Exit(1)
