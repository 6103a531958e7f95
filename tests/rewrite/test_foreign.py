"""Successes that are none: answers with nothing of their protocol, across protocols and as continuations."""

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.http import Head
from protocols.model.parts import FinishReason
from rewrite.values.timeouts import OnTruncation
from tests.contract import PROTOCOLS, SSE, parts, progress
from tests.rewrite.across import answered
from tests.rewrite.asks import ask
from tests.rewrite.continued import CUT, Answer, played
from tests.rewrite.replay import holding, mode
from tests.vendor import SPEECHES, Said, Send

NAMES = [protocol.name for protocol in PROTOCOLS]
JSON = Head(200, (("content-type", "application/json"),))
NDJSON = Head(200, (("content-type", "application/x-ndjson"),))
BODIES = [
    pytest.param(JSON, b'{"status":"ok"}', id="object"),
    pytest.param(JSON, b'[{"status":"ok"}]', id="array"),
    pytest.param(JSON, b"[]", id="empty array"),
    pytest.param(JSON, b"{}", id="empty object"),
    pytest.param(SSE, b'data: {"status":"ok"}\n\ndata: [DONE]\n\n', id="events"),
    pytest.param(SSE, b"data: [DONE]\n\n", id="a last event"),
    pytest.param(SSE, b'event: message_stop\ndata: {"type":"message_stop"}\n\n', id="a named last event"),
]


@pytest.mark.parametrize(("head", "body"), BODIES)
@pytest.mark.parametrize("upstream", NAMES)
@pytest.mark.parametrize("client", NAMES)
def test_nothing_of_a_protocol_is_no_answer_in_another(
    client: str, upstream: str, head: Head, body: bytes
) -> None:
    if client == upstream:
        return
    got = answered(client, upstream, body, head)
    assert got.head.status == 502
    assert b"not one of this protocol" in got.body or b"no answer" in got.body
    assert got.summary.end != "completed"


@pytest.mark.parametrize(("head", "body"), BODIES)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=NAMES)
def test_nothing_of_a_protocol_is_no_rest_of_an_answer(
    protocol: WireProtocol, head: Head, body: bytes
) -> None:
    """The answer that was cut does not end as a whole one."""
    call = ask(protocol.name)
    own = NDJSON if protocol.name == "ollama_chat" else SSE
    cut = SPEECHES[protocol.name].cut(Said(("Hello", " wor", "ld")), "wor", model="m")
    said = b"".join(step.data for step in cut.steps if isinstance(step, Send))
    terms = holding(protocol, call, structs.replace(mode(OnTruncation.CONTINUE), continuations=2))
    got = played(call, protocol, terms, [Answer(said, CUT, own), *[Answer(body, None, head)] * 2])
    found = progress(parts(protocol, own, [got.body], call))
    assert [finish.reason for finish in found.finished.values()] == [FinishReason.LENGTH]
    assert got.summary.end == "truncated"
