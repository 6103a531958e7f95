"""docs/protocols.md says what the code does."""

from pathlib import Path

from protocols.registry import discover
from scripts.protocols_doc import document

ROOT = Path(__file__).parent.parent


def test_the_file_is_what_the_code_writes() -> None:
    written = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m scripts.protocols_doc > docs/protocols.md"


def test_headers_that_a_target_gets_are_recorded() -> None:
    assert "Headers of its own: `anthropic-beta`, `anthropic-version`.\n" in document()


def test_the_documents_say_which_calls_of_each_protocol_are_answered() -> None:
    calls = (ROOT / "docs" / "calls.md").read_text(encoding="utf-8")
    assert [protocol.name for protocol in discover() if f"| `{protocol.name}` |" not in calls] == []


def test_every_loss_is_reported() -> None:
    text = document()
    for protocol in discover():
        assert f"## {protocol.name}\n" in text
