"""docs/rotation.md says what the tables of rotation say."""

from pathlib import Path

import pytest

from rewrite.catalog.providers import Rotation
from rewrite.credentials.rules import LATER, RULES
from rewrite.credentials.settling import COOLDOWNS
from scripts.rotation_doc import CALLS, document, serving

ROOT = Path(__file__).parent.parent


def test_the_file_is_what_the_code_writes() -> None:
    written = (ROOT / "docs" / "rotation.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m scripts.rotation_doc > docs/rotation.md"


def test_every_row_of_the_tables_is_there() -> None:
    def rows(heading: str) -> int:
        section = document().partition(f"## {heading}\n")[2].partition("\n## ")[0]
        return sum(line.startswith(("| ", "   - ")) for line in section.splitlines())

    assert rows("Who may serve") == 1 + len(RULES)
    assert rows("In which order") == len(LATER)
    assert rows("The modes") == 1 + len(Rotation)
    assert rows("What cools, and for how long") == 1 + len(COOLDOWNS)


@pytest.mark.parametrize(
    ("mode", "served"),
    [
        (Rotation.SEQUENTIAL, "aaaaaaaabb"),
        (Rotation.ROUND_ROBIN, "abcabcabca"),
        (Rotation.WEIGHTED, "abcaabcaab"),
        (Rotation.CHEAPEST, "bcbcbcbcaa"),
    ],
)
def test_the_examples_are_what_the_modes_do(mode: Rotation, served: str) -> None:
    assert "".join(serving(mode)) == served
    assert len(served) == CALLS


def test_how_long_things_last_is_said_in_their_unit() -> None:
    text = document()
    for part in (
        "5 min, doubling up to 6 h",
        "at least 1 s and at most 30 min; else 1 min",
        "at most 31 days",
    ):
        assert part in text
