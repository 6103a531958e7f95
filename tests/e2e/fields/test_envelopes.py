"""What a client of another protocol keeps of a strict provider comes back to it in envelopes."""

from collections.abc import Iterator

import pytest

from tests.e2e.fields.bench import CHAT, GEMINI, MESSAGES, RESPONSES, TRANSLATED, Bench, Cell, bench
from tests.vendor.strict import FINAL

MODELS = {
    "deepseek": "deepseek-reasoner",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-pro",
    "vertex": "gemini-3-flash",
    "openai": "gpt-5",
}
CELLS = [
    Cell(client, provider, MODELS[provider], mode, forgets=False, routed=True)
    for client in (CHAT, RESPONSES, MESSAGES, GEMINI)
    for provider, protocol in TRANSLATED.items()
    for mode in (("whole",) if client is CHAT else ("raw", "whole"))
    if client.protocol != protocol
]
"""Who adds up a stream of Chat by hand keeps no reasoning."""


@pytest.fixture(scope="module")
def playing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("envelopes"), CELLS) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_what_is_kept_comes_back(cell: Cell, playing: Bench) -> None:
    played = playing.play(cell)
    assert played.error is None
    assert len(played.requests) == len(played.turns) == 3
    assert played.turns[-1]["text"] == FINAL
