"""Messages of a WebSocket of the Responses API: a turn that is asked for, and the events of its answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from mitmproxy import http
from mitmproxy.flow import Flow
from mitmproxy.websocket import WebSocketMessage

from addons.records.record import record_of
from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.http import Head
from protocols.model.wirejson import JsonObject, dump, load_object, object_at, text_at
from protocols.openai_responses.websocket_messages import CREATE
from protocols.registry import Registry
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.views.answer_data import answer_data
from rewrite.views.call_data import call_data
from rewrite.views.content import piece, readable
from rewrite.views.request_data import request_data

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
_NAMES = ("delta", "text", "arguments", "item", "part")
_BEGINS = 200
"""Bytes of an event in which its type stands, as it is written here and by OpenAI."""
_WHOLE = Head(200, (("content-type", "application/json"),))


class Messages:
    """Reads them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def are_ours(self, flow: Flow | None) -> bool:
        """Whether the WebSocket of `flow` is one, and went to a provider here."""
        return isinstance(flow, http.HTTPFlow) and "provider" in record_of(flow) and self._is_one(flow)

    def _is_one(self, flow: http.HTTPFlow) -> bool:
        path = flow.request.path.partition("?")[0]
        protocol = self._protocol
        return protocol is not None and protocol.match("POST", path) is Operation.GENERATE

    @property
    def _protocol(self) -> WireProtocol | None:
        return next((each for each in self._registry if each.name == RESPONSES), None)

    def data(self, message: WebSocketMessage, flow: http.HTTPFlow) -> object:
        """What `message` says. None: it is no JSON object."""
        body = load_object(message.content)
        if body is None:
            return None
        kind = text_at(body, "type")
        said = {name: each for name, each in body.items() if name not in ("type", "sequence_number")}
        if message.from_client:
            return {"turn": request_data(said)} if kind == CREATE else {kind: readable(said)}
        if kind in _ENDS:
            return self._end(kind, body, _turn(message, flow))
        return {kind: _event(said)}

    def _end(self, kind: str, body: JsonObject, turn: Mapping[str, Any]) -> object:
        protocol, response = self._protocol, object_at(body, "response")
        came = {"rotator": call_data(turn)} if turn else {}
        if not response or protocol is None:
            return {**came, kind: readable(body)}
        call = Call("", RESPONSES, Operation.GENERATE, None, False, ())
        return {**came, kind: answer_data(protocol.decoder(call, _WHOLE), dump(response))}


def _event(said: JsonObject) -> object:
    """What is new in an event of a stream."""
    name = next((name for name in _NAMES if said.get(name)), None)
    if name is None:
        response = object_at(said, "response")
        return " ".join(filter(None, (text_at(response, "id"), text_at(response, "model")))) or readable(said)
    return piece(said[name])


def _turn(message: WebSocketMessage, flow: http.HTTPFlow) -> Mapping[str, Any]:
    """The record of the turn that `message` ends. Of those that a flow keeps, the last ended last."""
    turns: Sequence[Mapping[str, Any]] = record_of(flow).get("turns", ())
    assert flow.websocket is not None
    after = 0
    for each in reversed(flow.websocket.messages):
        if each is message:
            break
        after += not each.from_client and _is_end(each.content)
    return turns[-1 - after] if after < len(turns) else {}


def _is_end(content: bytes) -> bool:
    begins = content[:_BEGINS].replace(b" ", b"")
    return any(f'"type":"{end}"'.encode() in begins for end in _ENDS)
