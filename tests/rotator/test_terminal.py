"""What is written to a terminal, whoever named it."""

import io

import pytest
from rich.json import JSON
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from rotator.terminal import Escaping

NASTY = "e\x1b[31m\x9b2J\x07\r\u202ex"
CLEAN = r"e\x1b[31m\x9b2J\x07\x0d\u202ex"


def shown(what: object, *, colours: bool = False) -> str:
    written = io.StringIO()
    Escaping(file=written, force_terminal=colours, width=100).print(what)
    return written.getvalue()


def in_a_table() -> Table:
    table = Table()
    table.add_column(Text(NASTY))
    table.add_row(Text(NASTY))
    return table


@pytest.mark.parametrize(
    "what",
    [
        Text(NASTY),
        in_a_table(),
        Syntax(NASTY, "diff"),
        JSON('{"name": "\x9b2J\u202e"}'),
    ],
)
def test_nothing_is_obeyed(what: object) -> None:
    found = shown(what)
    assert found.replace("\n", "").isprintable()
    assert r"\x9b2J" in found or r"\x1b[31" in found  # a column is as wide as what it was given


def test_lines_and_colours_stay() -> None:
    assert shown(Text.assemble("one\n", ("two", "red")), colours=True) == "one\n\x1b[31mtwo\x1b[0m\n"
    assert CLEAN.replace(r"\x07\x0d", "") in shown(Text(NASTY))  # rich leaves these two out
