"""Where commands write: the terminal, or a file or a pipe that takes plain text."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from addons.secrets.printable import escaped

PLAIN_WIDTH = 200
"""Columns where there is no terminal: what is piped is not broken into lines."""


class Escaping(Console):
    """Escapes what a terminal would obey in what is shown: models and traces are named by anybody. Colours,
    and what moves the cursor, are rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        return map(_escaped, super().render(renderable, options))


def _escaped(segment: Segment) -> Segment:
    text, style, control = segment
    if control or text.isprintable() or text == "\n":
        return segment
    return Segment("\n".join(map(escaped, text.split("\n"))), style)


def stdout() -> Console:
    """Colours on a terminal alone, and none where NO_COLOR is set."""
    return _fit(Escaping(highlight=False))


def stderr() -> Console:
    """For what is no part of the output."""
    return _fit(Escaping(stderr=True, highlight=False))


def _fit(console: Console) -> Console:
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    return console
