"""Every client against every provider: what the SDK shows its user, and what the provider was asked."""

from collections.abc import Iterator

import pytest

from tests.e2e import sdk as sdks
from tests.e2e.translation.bench import CELLS, OWN, Bench, Cell, Seen, bench, key_of
from tests.e2e.translation.scenarios import (
    CITIES,
    COMPLAINT,
    CUT_TEXT,
    IMAGE,
    PROMPT,
    SYSTEM,
    WHOLE,
    Cut,
    Fails,
    Refused,
)
from tests.vendor import Received, Tool
from tests.vendor.answers import SEAL
from tests.vendor.speech import Said

USAGE = [12, 9]
SEALING = {"openai_responses", "anthropic_messages", "gemini_generate"}
WHOLE_CALLS = {"gemini_generate", "ollama_chat"}
GIVES_IDS = {"openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("matrix")) as running:
        yield running


def cells(*faults: type[Refused | Fails | Cut]) -> pytest.MarkDecorator:
    wanted = [
        pytest.param(cell, marks=sdks.marks(cell.client.sdk), id=cell.model)
        for cell in CELLS
        if (isinstance(cell.scenario.fault, faults) if faults else not cell.scenario.fault)
    ]
    return pytest.mark.parametrize("cell", wanted)


@cells()
def test_an_answer(cell: Cell, played: Bench) -> None:
    seen = played.play(cell)
    check_error(cell, seen)
    says = cell.scenario.says
    assert len(seen.turns) == len(seen.requests) == len(says)
    for turn, said in zip(seen.turns, says, strict=True):
        assert turn["text"] == said.text
        assert turn["finish"] == cell.client.finishes[said.finish]
        assert turn["reasoning"] == "".join(said.reasoning)
        check_calls(cell, turn["tools"], said.tools)
        if not raised(cell):
            assert turn["usage"] == USAGE
    check_requests(cell, seen)


@cells(Refused)
def test_a_refusal(cell: Cell, played: Bench) -> None:
    assert isinstance(cell.scenario.fault, Refused)
    seen, status = played.play(cell), cell.scenario.fault.status
    assert seen.error is not None, "the SDK did not raise"
    assert cell.client.refusals[status] in seen.error["types"]
    assert seen.error["status"] == status
    assert COMPLAINT in seen.error["message"]
    assert len(seen.requests) == 1


@cells(Fails)
def test_an_error_inside_the_stream(cell: Cell, played: Bench) -> None:
    seen = played.play(cell)
    assert seen.turn["text"] == CUT_TEXT
    assert seen.turn["finish"] not in cell.client.finishes.values()
    assert seen.error is not None, "the SDK did not raise"
    if cell.mode not in cell.client.raises:
        assert cell.client.failure in seen.error["types"]
        assert COMPLAINT in seen.error["message"]


@cells(Cut)
def test_a_cut(cell: Cell, played: Bench) -> None:
    seen = played.play(cell)
    if cell.scenario.job.get("tools"):
        check_cut_call(cell, seen)
        return
    if cell.mode in WHOLE:
        assert seen.error is not None, "the SDK did not raise"
        assert seen.error["status"] == 502
        return
    check_error(cell, seen, long=True)
    assert seen.turn["text"] == CUT_TEXT
    assert seen.turn["finish"] == cell.client.finishes["length"]


def check_cut_call(cell: Cell, seen: Seen) -> None:
    """An error, or the length; never an end that makes the client run what is there."""
    ends = {cell.client.finishes["stop"], cell.client.finishes["tools"]}
    assert seen.turn["text"] == cell.scenario.says[0].text
    assert seen.turn["finish"] not in ends
    assert seen.error is not None or seen.turn["finish"] == cell.client.finishes["length"]
    if cell.client.protocol in WHOLE_CALLS and cell.upstream not in WHOLE_CALLS:
        assert seen.turn["tools"] == []


def raised(cell: Cell) -> str | None:
    """What the SDK raises by itself when an answer was too long."""
    return cell.client.raises.get(cell.mode) if cell.scenario.says[-1].finish == "length" else None


def check_error(cell: Cell, seen: Seen, *, long: bool = False) -> None:
    expected = cell.client.raises.get(cell.mode) if long else raised(cell)
    if expected is None:
        assert seen.error is None
    else:
        assert seen.error is not None, "the SDK did not raise"
        assert expected in seen.error["types"]


def check_calls(cell: Cell, reported: list[dict[str, object]], tools: tuple[Tool, ...]) -> None:
    assert [(call["name"], call["arguments"]) for call in reported] == [
        (tool.name, {"city": CITIES[tool.name]}) for tool in tools
    ]
    if cell.client.ids:
        assert all(call["id"] for call in reported)
        assert len({str(call["id"]) for call in reported}) == len(reported)


def check_requests(cell: Cell, seen: Seen) -> None:
    """What the provider was asked: all that the client said, in the provider's own form."""
    tools = tuple(CITIES) if cell.scenario.job.get("tools") else ()
    for received, asked in zip(seen.requests, seen.asked, strict=True):
        check_credential(cell, received)
        assert PROMPT.encode() in received.body
        assert asked.stream == ("whole" not in cell.mode)
        assert SYSTEM in asked.system
        assert asked.tools == tools
        assert asked.images == ((IMAGE,) if cell.scenario.job.get("image") else ())
    check_reasoning(cell, seen)
    if tools:
        check_results(cell, seen, cell.scenario.says[0])


def check_results(cell: Cell, seen: Seen, said: Said) -> None:
    """The calls come back to the provider as it made them, each with its own result."""
    last = seen.asked[-1]
    assert [(call.name, call.arguments) for call in last.calls] == [
        (tool.name, {"city": CITIES[tool.name]}) for tool in said.tools
    ]
    for tool, call, result in zip(said.tools, last.calls, last.results, strict=True):
        assert f"{tool.name} found {CITIES[tool.name]}-4711" in result.text
        assert result.id == call.id
        assert result.name in (None, tool.name)
        assert cell.upstream != "gemini_generate" or result.name == tool.name
        if cell.upstream in GIVES_IDS and cell.client.ids:
            assert call.id == tool.id
    if said.reasoning and cell.upstream in SEALING and cell.mode in cell.client.seals:
        assert f'"{SEAL}"'.encode() in seen.requests[-1].body


def check_credential(cell: Cell, received: Received) -> None:
    if cell.via == OWN:
        assert received.credential.endswith("client-own-key")
    else:
        assert received.credential == key_of(cell.upstream)
        assert b"client-own-key" not in received.body + repr(received.headers).encode()


def check_reasoning(cell: Cell, seen: Seen) -> None:
    if not cell.scenario.job.get("reasoning"):
        assert not any(asked.reasons for asked in seen.asked)
        return
    first, *later = seen.asked
    # Thinking without a level is what models of OpenAI's do anyway; Chat has no word for it.
    assert first.reasons or (cell.client.protocol, cell.upstream) == ("ollama_chat", "openai_chat")
    # With thinking on, Messages wants back what was thought before a call; who does not have it goes without.
    without = cell.upstream == "anthropic_messages" and cell.mode not in cell.client.seals
    assert all(asked.reasons == (first.reasons and not without) for asked in later)
    assert first.shows or not first.reasons or not cell.client.shows
