"""Every SDK, every way to continue: one answer with one id, honestly ended, and what the provider was
asked."""

from collections.abc import Iterator

import pytest

from tests.e2e import sdk as sdks
from tests.e2e.continuation.bench import CELLS, OTHERS, Bench, Cell, Seen, bench, key_of
from tests.e2e.continuation.scenarios import CUT_TEXT, PROMPT
from tests.vendor import Received
from tests.vendor.speech import speech_of

BEGINNINGS = {"anthropic_messages": (12, 1), "gemini_generate": (12, 9)}
"""The tokens that a protocol reports of an answer before it ends."""

PROVIDERS = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic_messages": "anthropic",
    "gemini_generate": "gemini",
    "ollama_chat": "ollama_cloud",
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("continuation")) as running:
        yield running


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=sdks.marks(cell.client.sdk), id=cell.model) for cell in CELLS]
)
def test_one_answer(cell: Cell, played: Bench) -> None:
    seen, scenario = played.play(cell), cell.scenario
    check_error(cell, seen)
    assert seen.turn["text"] == scenario.text
    assert seen.turn["finish"] == cell.client.finishes[scenario.finish]
    assert [call["name"] for call in seen.turn["tools"]] == list(scenario.calls)
    assert all(call["arguments"] == {"city": "Paris"} for call in seen.turn["tools"])
    check_frames(cell, seen)
    check_usage(cell, seen)
    check_requests(cell, seen)
    assert f"end={scenario.end} " in seen.line
    assert scenario.words in seen.line


def is_too_long(cell: Cell) -> bool:
    """For a helper, which raises then."""
    return cell.scenario.finish == "length" and cell.mode in cell.client.raises


def check_error(cell: Cell, seen: Seen) -> None:
    if is_too_long(cell):
        assert seen.error is not None
        assert cell.client.raises[cell.mode] in seen.error["types"]
    else:
        assert seen.error is None


def check_frames(cell: Cell, seen: Seen) -> None:
    """One id, of the first answer, and frames that are counted without a gap."""
    if cell.client.protocol != "ollama_chat" and not (cell.mode == "helper" and is_too_long(cell)):
        assert len(seen.turn["ids"]) == 1
    numbers = seen.turn.get("numbers")
    if numbers and cell.mode == "raw":
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def check_usage(cell: Cell, seen: Seen) -> None:
    """Of all that were asked; where the last one reported nothing of it, there is none to report."""
    if cell.scenario.end == "completed" and not is_too_long(cell):
        beginnings = BEGINNINGS.get(cell.client.protocol, (0, 0))
        assert seen.turn["usage"] == cell.scenario.counted(beginnings)


def check_requests(cell: Cell, seen: Seen) -> None:
    provider = PROVIDERS[cell.client.protocol]
    assert [received.credential for received in seen.requests] == keys_of(cell, provider)
    first, *later = seen.requests
    for received in later:
        assert PROMPT.encode() in received.body
        check_prompt(cell, first, received)
    if cell.scenario.group:
        speech = speech_of(later[0].path)
        assert speech is not None
        assert speech.protocol == OTHERS[provider]


def keys_of(cell: Cell, provider: str) -> list[str]:
    """Another one each time; the first of the next target's."""
    if cell.scenario.group:
        return [key_of(provider, "one"), key_of(f"to_{OTHERS[provider]}", "one")]
    return [key_of(provider, name) for name in cell.scenario.keys.split()]


def check_prompt(cell: Cell, first: Received, received: Received) -> None:
    """What there is, and the prompt for the remainder; or the same once more, where nothing was said."""
    if cell.scenario.name == "thought":
        assert received.body == first.body
        return
    assert b"was interrupted" in received.body
    assert (cell.scenario.text[:7] if cell.scenario.says else CUT_TEXT).encode() in received.body
    assert all(each.encode() in received.body for each in cell.scenario.says)
