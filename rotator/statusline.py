"""`rotator statusline`: one line about a conversation of Claude Code, which shows it below its prompt.

What Claude Code says on standard input (documented for 2.1): session_id, model.id, and of subscribers
rate_limits.five_hour and .seven_day. All of it may be missing.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from rotator import statusline_text
from rotator.found import addresses, ask

app = typer.Typer(add_completion=False)

PATIENCE = 1.0
"""Seconds in which the proxy has to answer. A busy machine may take tenths for it; Claude Code ends a line
that is late when it wants the next."""

_SETTINGS = {"statusLine": {"type": "command", "command": "rotator statusline"}}
_ADVICE = "Put this into ~/.claude/settings.json, and Claude Code shows the line below its prompt:"


@app.command()
def statusline(
    port: Annotated[int | None, typer.Option("-p", "--port", help="Where the proxy listens.")] = None,
) -> None:
    """Print one line for Claude Code: the model that really answered, its key, and what is left of that.

    In ~/.claude/settings.json: {"statusLine": {"type": "command", "command": "rotator statusline"}}
    """
    if sys.stdin.isatty():
        typer.echo(f"{_ADVICE}\n{json.dumps(_SETTINGS, indent=2)}")
        return
    said = _read(sys.stdin.buffer.read())
    typer.echo(statusline_text.line(said, _asked(said, port)))


def _read(given: bytes) -> Mapping[str, Any]:
    """Empty where it is none of Claude Code's."""
    try:
        said = json.loads(given)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _asked(said: Mapping[str, Any], port: int | None) -> Mapping[str, Any] | None:
    """What the proxy knows of the conversation. None: no proxy answers in time."""
    query = urlencode({"session": statusline_text.session(said), "model": statusline_text.model(said)})
    for address in addresses(port, os.environ):
        answer = ask(address, f"/statusline?{query}", PATIENCE)
        if answer and answer.status == 200:
            return answer.data()
    return None
