"""docs/exchange.md says what the table of the machine says."""

from pathlib import Path

from rewrite.exchange.exchange import TRANSITIONS, name_of
from scripts.states_doc import document

ROOT = Path(__file__).parent.parent


def test_the_file_is_what_the_code_writes() -> None:
    written = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m scripts.states_doc > docs/exchange.md"


def test_every_row_of_the_table_is_there() -> None:
    text = document()
    for state, rows in TRANSITIONS.items():
        section = text.partition(f"## {state.name}: ")[2].partition("## ")[0]
        for trigger in rows:
            assert f"| {name_of(trigger)} |" in section


def test_what_changes_the_state_is_drawn() -> None:
    drawing = document().partition("```mermaid")[2].partition("```")[0]
    assert "    ACQUIRING --> CONNECTING : Acquired\n" in drawing
    assert "    COMMITTED --> ACQUIRING : UpstreamData, UpstreamClosed" in drawing
    assert "ClientDrained" not in drawing
