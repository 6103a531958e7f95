"""The view LLM, as mitmproxy asks for it: the default of calls, and of nothing else."""

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.contentviews import Metadata, registry
from mitmproxy.test import tflow, tutils
from mitmproxy.websocket import WebSocketData, WebSocketMessage
from wsproto.frame_protocol import Opcode

from addons.views.about import Flows
from addons.views.llm import LLM
from addons.views.websocket import Messages
from protocols.model.wirejson import MOST_VALUES
from tests.contract import REGISTRY
from tests.vendor import chat_stream

ASKED = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
RECORD = {"protocol": "openai_chat", "operation": "generate", "provider": "openai", "end": "completed"}


def view(recognised: object = None) -> LLM:
    return LLM(Flows(REGISTRY, lambda _: recognised), Messages(REGISTRY))  # type: ignore[arg-type, return-value]  # as a test says


def flow(record: dict[str, Any] | None = None, path: str = "/v1/chat/completions") -> http.HTTPFlow:
    request = tutils.treq(method=b"POST", path=path.encode(), content=json.dumps(ASKED).encode())
    headers = ((b"content-type", b"text/event-stream"),)
    response = tutils.tresp(content=b"".join(chat_stream(["Hello", " there"])), headers=http.Headers(headers))
    made = tflow.tflow(req=request, resp=response)
    if record is not None:
        made.metadata["rotator"] = record
    return made


def of(message: http.Message, flow: http.HTTPFlow) -> tuple[bytes, Metadata]:
    kind = "application/json" if message is flow.request else "text/event-stream"
    return message.content or b"", Metadata(flow, content_type=kind, http_message=message)


def request_of(flow: http.HTTPFlow) -> tuple[bytes, Metadata]:
    return of(flow.request, flow)


def response_of(flow: http.HTTPFlow) -> tuple[bytes, Metadata]:
    assert flow.response is not None
    return of(flow.response, flow)


def test_it_is_the_default_of_calls_alone() -> None:
    ours, other = flow(RECORD), flow()
    for message in (request_of, response_of):
        assert view().render_priority(*message(ours)) > registry["json"].render_priority(*message(ours))
        assert view().render_priority(*message(other)) < 0


def test_a_call_that_is_not_over_is_known_as_what_it_was_recognised() -> None:
    recognised = REGISTRY["openai_chat"], "generate"
    assert view(recognised).render_priority(*request_of(flow())) > 1


def test_request_and_answer() -> None:
    assert view().prettify(*request_of(flow(RECORD))) == (
        "rotator: completed; openai; 0.00 s\n"
        "model: gpt-5\nparameters:\n  stream: true\nmessages (1):\n  - user: Hi\n"
    )
    answer = view().prettify(*response_of(flow(RECORD)))
    assert answer.startswith("rotator:\n  verdict: completed\n  asked: openai\n")
    assert answer.endswith("answer: Hello there\n")


def test_who_asks_for_it_gets_it_of_other_calls_too() -> None:
    assert view().prettify(*response_of(flow())).endswith("answer: Hello there\n")
    assert view().prettify(*response_of(flow(path="/else"))).startswith("# This is no call")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"messages":' + b"[" * 9000])
def test_a_body_that_is_broken_is_no_error(content: bytes) -> None:
    broken = flow(RECORD)
    broken.request.content = content
    assert view().prettify(*request_of(broken))
    assert view().prettify(*response_of(broken)).endswith("answer: Hello there\n")


def test_a_request_of_millions_of_values_is_not_parsed() -> None:
    made = flow(RECORD)
    made.request.content = b'{"messages": [%b]}' % b",".join([b"{}"] * (MOST_VALUES // 2))
    assert "too many values" in view().prettify(*request_of(made))


def test_a_fault_of_ours_costs_this_view_alone() -> None:
    broken = flow(RECORD)
    data, metadata = response_of(broken)
    broken.response = None
    metadata.http_message = object()  # type: ignore[assignment]  # what mitmproxy never gives
    assert view().prettify(data, metadata)


# -- WebSockets -------------------------------------------------------------------------------------------


def websocket(*said: tuple[bool, dict[str, Any]], record: dict[str, Any] | None = None) -> http.HTTPFlow:
    made = flow({"provider": "openai", "websocket": "bridged"} | (record or {}), path="/v1/responses")
    made.websocket = WebSocketData()
    made.websocket.messages = [
        WebSocketMessage(Opcode.TEXT, from_client, json.dumps(text).encode()) for from_client, text in said
    ]
    return made


def shown(flow: http.HTTPFlow, number: int) -> str:
    assert flow.websocket is not None
    message = flow.websocket.messages[number]
    metadata = Metadata(flow, websocket_message=message)
    assert view().render_priority(message.content, metadata) > 1
    return view().prettify(message.content, metadata)


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-5",
    "status": "completed",
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
CREATE = {"type": "response.create", "model": "gpt-5", "input": "Hi"}
DELTA = {"type": "response.output_text.delta", "delta": "Hel", "item_id": "i", "sequence_number": 3}
DONE = {"type": "response.completed", "response": RESPONSE}


def test_a_turn_its_events_and_its_end() -> None:
    said = websocket((True, CREATE), (False, DELTA), (False, DONE))
    assert shown(said, 0) == "turn:\n  model: gpt-5\n  messages:\n    - user: Hi\n"
    assert shown(said, 1) == "response.output_text.delta: Hel\n"
    assert "answer: Hello" in shown(said, 2)
    assert "output: 2" in shown(said, 2)


def test_each_end_of_a_turn_says_what_came_of_that_turn() -> None:
    turns = [{"end": "completed", "call": call, "provider": "openai"} for call in ("one", "two")]
    said = websocket((True, CREATE), (False, DONE), (True, CREATE), (False, DONE), record={"turns": turns})
    assert "call: one" in shown(said, 1)
    assert "call: two" in shown(said, 3)


def test_other_websockets_are_left_alone() -> None:
    other = websocket((True, CREATE))
    other.request.path = "/v1/realtime"
    assert other.websocket is not None
    message = other.websocket.messages[0]
    assert view().render_priority(message.content, Metadata(other, websocket_message=message)) < 0
