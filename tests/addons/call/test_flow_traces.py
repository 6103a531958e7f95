"""The traces of flows that no driver answers: their heads, once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy import http

from addons.call.passing import Passing
from addons.mitm.dispatch import Forwarding
from tests.addons.call.traced import ONE, TracedProxy
from tests.rewrite.records.traces import Kept

CONFIG = """
[providers.openai]
credentials = [{ name = "one", key = "env:ONE" }]
"""
FILES = "https://api.openai.com/v1/files"
CHAT = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[TracedProxy]:
    made = TracedProxy(tmp_path, CONFIG)
    yield made
    await made.close()


def answered(proxy: TracedProxy, flow: http.HTTPFlow, status: int) -> Kept:
    """The trace of a flow that ends with such an answer."""
    flow.response = http.Response.make(status, b"not in the trace", {"x-a": "1"})
    proxy.answering.flow_traces.answered(flow)
    proxy.over(flow)
    proxy.over(flow)
    (kept,) = proxy.traces.kept
    assert kept.closed == 1
    assert kept.files == {}
    return kept


async def test_the_heads_of_a_flow_that_is_passed_through(proxy: TracedProxy) -> None:
    flow = proxy.flow(FILES, {"a": "not in the trace"}, authorization="Bearer sk-own-key-of-the-client")
    assert isinstance(proxy.departure.dispatch(flow), Forwarding)
    kept = answered(proxy, flow, 200)
    received, sent, came, given = kept.entries
    assert [entry.name for entry in kept.entries] == [
        "raw_request",
        "sent_request",
        "raw_response",
        "sent_response",
    ]
    assert (sent.credential, sent.attempt, sent.protocol) == ("one", 1, "openai_chat")
    assert received.data == {
        "method": "POST",
        "target": "/v1/files",
        "headers": [["Host", "api.openai.com"], ["content-length", "25"]],
    }
    assert isinstance(sent.data, dict)
    assert sent.data["target"] == FILES
    assert ["authorization", f"Bearer {ONE}"] in sent.data["headers"]
    assert came.data == given.data == {"status": 200, "headers": [["x-a", "1"], ["content-length", "16"]]}


async def test_a_provider_that_gave_no_answer_to_what_was_passed_through(proxy: TracedProxy) -> None:
    """The answer is ours."""
    flow = proxy.flow(FILES, {})
    forwarding = proxy.departure.dispatch(flow)
    assert isinstance(forwarding, Forwarding)
    forwarding.failed("refused")
    assert answered(proxy, flow, 502).names == ["raw_request", "sent_request", "sent_response"]


async def test_what_is_answered_by_us_without_a_plan(proxy: TracedProxy) -> None:
    assert answered(proxy, proxy.flow(CHAT, {}), 403).names == ["raw_request", "sent_response"]


async def test_a_fault_of_ours_in_the_plan_of_a_call(
    proxy: TracedProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = proxy.flow(CHAT, {"model": "gpt-4o"})
    monkeypatch.setattr("addons.call.answering.note_routing", None)
    assert not isinstance(proxy.departure.dispatch(flow), Forwarding)
    kept = answered(proxy, flow, 502)
    assert kept.names == ["raw_request", "parsed_request", "internal_error", "sent_response"]
    assert kept.entries[2].data == {"error": "TypeError"}


async def test_a_fault_of_ours_before_there_is_a_call(
    proxy: TracedProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = proxy.flow(CHAT, {"model": "gpt-4o"})
    monkeypatch.setattr("addons.call.answering.header", None)
    assert not isinstance(proxy.departure.dispatch(flow), Forwarding)
    assert answered(proxy, flow, 502).names == ["raw_request", "internal_error", "sent_response"]


async def test_what_begins_while_nothing_is_traced_leaves_no_trace_later(proxy: TracedProxy) -> None:
    """An answer that is made later, which no driver waits for."""
    proxy.traces.is_on = False
    body = {"model": "gpt-4o", "input": "Hi", "background": True}
    flow = proxy.flow("https://api.openai.com/v1/responses", body)
    responder = proxy.departure.dispatch(flow)
    assert isinstance(getattr(responder, "__self__", None), Passing)
    proxy.traces.is_on = True
    proxy.over(flow)
    assert proxy.traces.kept == []


async def test_a_client_that_leaves_what_is_passed_through(proxy: TracedProxy) -> None:
    flow = proxy.flow(FILES, {})
    proxy.departure.dispatch(flow)
    proxy.over(flow)
    (kept,) = proxy.traces.kept
    assert (kept.names, kept.closed) == (["raw_request", "sent_request", "sent_response"], 1)
    assert kept.entries[-1].data == {"verdict": "left", "end": "abandoned"}
