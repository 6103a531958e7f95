"""docs/protocols.md says what the code does."""

from pathlib import Path

from scripts.protocols_doc import document

ROOT = Path(__file__).parent.parent


def test_the_file_is_what_the_code_writes() -> None:
    written = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m scripts.protocols_doc > docs/protocols.md"


def test_headers_that_a_target_gets_are_told() -> None:
    assert "Headers of its own: `anthropic-beta`, `anthropic-version`.\n" in document()


def test_every_loss_is_told() -> None:
    text = document()
    for name in ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate", "ollama_chat"):
        assert f"## {name}\n" in text
