"""What providers really sent, given to clients of every other protocol: well-formed, and the same."""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from protocols.model.http import Head
from protocols.model.parts import FinishReason
from rewrite.translation.translate import translator_of
from tests import oracle
from tests.contract import PROTOCOLS, Sample, samples
from tests.oracle import recorded
from tests.rewrite.across import Gist, answered, gist, read
from tests.rewrite.asks import REGISTRY, ROLES
from tests.rewrite.replay import Replay
from tests.rewrite.scenes import JSON, SSE

NDJSON = Head(200, (("content-type", "application/x-ndjson"),))
HEADS = {"ollama_chat": NDJSON}
STREAMS = {"ollama_chat": "*.ndjson"}
EVERYONE = (*ROLES, "ollama_chat")
PAIRS = list(permutations(EVERYONE, 2))
NOT_ASKED = {"openai_chat/rich.json"}
"""Two answers with a call of free text: neither is asked of a provider of Chat across protocols."""


@pytest.fixture(scope="module")
def judges() -> Mapping[str, oracle.Judge]:
    return oracle.judges()


def each_golden(*patterns: str) -> pytest.MarkDecorator:
    found = [
        pytest.param(sample, client, id=f"{client}<-{sample}")
        for pattern in patterns
        for sample in samples(pattern)
        for client in EVERYONE
        if client != sample.protocol.name and str(sample) not in NOT_ASKED
    ]
    return pytest.mark.parametrize(("sample", "client"), found)


def test_every_protocol_is_among_the_pairs() -> None:
    assert set(EVERYONE) == {protocol.name for protocol in PROTOCOLS}


each_stream = pytest.mark.parametrize(
    ("file", "client", "upstream"),
    [
        pytest.param(*param.values, client, upstream, marks=param.marks, id=f"{client}<-{param.id}")
        for client, upstream in PAIRS
        for param in recorded(upstream, STREAMS.get(upstream, "*.sse"))
    ],
)


@each_stream
def test_a_recorded_stream_reaches_every_client_whole(
    file: Path, client: str, upstream: str, judges: Mapping[str, oracle.Judge]
) -> None:
    got, said = check_stream(client, upstream, file.read_bytes(), HEADS.get(upstream, SSE))
    if got.summary.end == "rejected":
        return
    judgement = judges[client](got.body)
    assert not judgement["violations"], judgement
    assert judgement["error"] or judgement["terminal"], judgement
    assert bool(judgement["error"]) == (said.failed or got.summary.end == "failed"), got.summary


@each_golden("*.sse", "*.ndjson", "*.jsonarr")
def test_a_golden_stream_reaches_every_client_whole(sample: Sample, client: str) -> None:
    check_stream(client, sample.protocol.name, sample.data, sample.head)


def check_stream(client: str, upstream: str, data: bytes, head: Head) -> tuple[Replay, Gist]:
    """What the client got, and what the provider had said."""
    said = gist(read(upstream, data, head))
    got = answered(client, upstream, data, head)
    if got.summary.end == "rejected":
        assert said.error or not said.text or said.finish is FinishReason.ERROR
        return got, said
    heard = gist(read(client, got.body, HEADS.get(client, SSE)))
    if not said.failed:
        assert heard.text == said.text
        assert heard.tools == given(client, said.tools)
        assert heard.finish in (
            (FinishReason.LENGTH,) if got.summary.end == "truncated" else ended(client, said)
        )
    return got, said


def given(client: str, tools: list[tuple[str | None, Any]]) -> list[tuple[str | None, Any]]:
    """A client that gets calls whole does not get those that the provider left unfinished."""
    whole = translator_of(REGISTRY[client]).abilities.whole_tool_calls
    return [tool for tool in tools if not whole or isinstance(tool[1], dict)]


def ended(client: str, said: Gist) -> tuple[FinishReason, ...]:
    """The canonical ends that are true of it. A call that the client is to run ends in "tool_calls" in every
    protocol; a provider's word that nobody knows is an end of some kind, but no cut."""
    if client == "ollama_chat" and said.finish is FinishReason.CONTENT_FILTER:
        return (FinishReason.STOP,)  # it has no word for a filter
    if said.finish in (None, FinishReason.STOP):
        return (FinishReason.TOOL_CALLS if said.tools else FinishReason.STOP,)
    if said.finish in (FinishReason.OTHER, FinishReason.ERROR, FinishReason.PAUSE):
        return tuple(set(FinishReason) - {FinishReason.LENGTH})
    return (said.finish,)


each_answer = pytest.mark.parametrize(
    ("file", "client", "upstream"),
    [
        pytest.param(*param.values, client, upstream, marks=param.marks, id=f"{client}<-{param.id}")
        for client, upstream in PAIRS
        for param in recorded(upstream, "*.json")
        if "-HTTP" not in str(param.id)
    ],
)


@each_answer
def test_a_recorded_answer_reaches_every_client_whole(file: Path, client: str, upstream: str) -> None:
    check_answer(client, upstream, file.read_bytes())


@each_golden("*.json")
def test_a_golden_answer_reaches_every_client_whole(sample: Sample, client: str) -> None:
    check_answer(client, sample.protocol.name, sample.data)


def check_answer(client: str, upstream: str, data: bytes) -> None:
    said = gist(read(upstream, data, JSON, stream=False))
    got = answered(client, upstream, data, JSON, stream=False)
    if got.summary.end == "rejected":
        assert said.error or not said.text or said.finish is FinishReason.ERROR
        return
    heard = gist(read(client, got.body, JSON, stream=False))
    assert (heard.text, heard.tools) == (said.text, said.tools)
    assert heard.finish in ended(client, said)
