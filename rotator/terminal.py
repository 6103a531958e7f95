"""Where commands write: the terminal, or a file or a pipe that takes plain text."""

from rich.console import Console

PLAIN_WIDTH = 200
"""Columns where there is no terminal: what is piped is not broken into lines."""


def stdout() -> Console:
    """Colours on a terminal alone, and none where NO_COLOR is set."""
    return _fit(Console(highlight=False))


def stderr() -> Console:
    """For what is no part of the output."""
    return _fit(Console(stderr=True, highlight=False))


def _fit(console: Console) -> Console:
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console
