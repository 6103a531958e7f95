"""A WebSocket of the Responses API that is answered here: each turn is a call as one over HTTP is.

A turn has a flow of its own, which other add-ons do not see, with the request that a client would have sent
over HTTP; so pool, routes, retries, repair and records are those of any call. Turns are answered one after
another, in the order in which they were asked for, whatever `stream_id` they name.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol, assert_never

from mitmproxy import http
from wsproto.frame_protocol import CloseReason

from addons.call.answering import Answering
from addons.call.recognition import Intercepted
from addons.mitm.draining import Draining
from addons.mitm.messages import for_client
from addons.mitm.websocket_limits import PROXY_ENDS
from addons.mitm.websocket_session import Socket
from addons.records.journal import Journal
from addons.records.record import Record, same_user, user_of
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Headers
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, dump, load_object, text_at
from protocols.openai_responses.error_words import error_object
from protocols.openai_responses.websocket_messages import (
    Create,
    EventMessage,
    EventMessages,
    Receipt,
    error_event,
    event_message,
    events_of,
    failed_event,
    prepared,
    read_message,
)
from rewrite.responses.conversation import Conversation
from rewrite.values.events import Summary

BETA = b"responses_websockets="
"""How the value of `openai-beta` begins that asks for WebSockets: it is said of the handshake alone."""

_HANDSHAKE = frozenset(
    {b"connection", b"upgrade", b"content-length", b"content-type", b"content-encoding", b"accept"}
)
_FIRST_ERROR = 400
_NONSENSE = 502
"""The status of an answer that is none."""

_LARGE = 1 << 20
"""Characters of a message from which on it is not parsed on the event loop."""

_FAULT = Fault(502, "proxy_fault", "a fault of the proxy, not of the provider", should_retry=False)


class Bridge:
    """One connection; `run` is its session."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        intercepted: Intercepted,
        answering: Answering,
        journal: Journal,
        draining: Draining,
    ) -> None:
        self._draining = draining
        self._flow, self._intercepted = flow, intercepted
        self._answering, self._journal = answering, journal
        self._conversation = Conversation()
        self._name = secrets.token_hex(12)

    async def run(self, socket: Socket) -> None:
        while True:
            await self._answer(await socket.receive(), socket)
            if self._draining.is_on:
                await socket.close(CloseReason.SERVICE_RESTART, PROXY_ENDS)

    async def _answer(self, text: str, socket: Socket) -> None:
        match await _read(text):
            case Create(generate=False) as create:
                await self._prepare(create, socket)
            case Create() as create:
                await self._turn(create, socket)
            case Fault() as fault:
                await socket.send([event_message(self._error_event(fault)).text])
            case Receipt():
                pass
            case never:
                assert_never(never)

    def _error_event(self, fault: Fault) -> JsonObject:
        assert self._intercepted.protocol is not None
        answer = self._intercepted.protocol.error(fault)
        return error_event(answer.status, answer.headers, answer.body)

    # -- a turn that is prepared only -----------------------------------------------------------------

    async def _prepare(self, create: Create, socket: Socket) -> None:
        """Answered from memory: it says nothing that a provider would have to be paid for."""
        response_id = f"resp_ws_{secrets.token_hex(12)}"
        self._conversation.prepared(response_id, self._conversation.continued(create.body))
        self._record_prepared(create)
        events = prepared(response_id, create, int(time.time()))
        await socket.send([event_message(event, create.stream_id).text for event in events])

    def _record_prepared(self, create: Create) -> None:
        intercepted, flow = self._intercepted, self._turn_flow(create.body)
        assert intercepted.protocol is not None
        model = text_at(create.body, "model") or None
        headers: Headers = ()
        call_id, name = secrets.token_hex(4), intercepted.protocol.name
        call = Call(call_id, name, Operation.GENERATE, model, True, headers)
        words = "a turn was prepared, which no provider is asked about"
        summary = Summary("completed", words, (), Progress(), time.monotonic(), 0.0, status=200)
        self._journal.end(Record(flow, call, intercepted.provider.name, ()), summary)
        self._journal.turn(self._flow, flow)

    # -- a turn ---------------------------------------------------------------------------------------

    async def _turn(self, create: Create, socket: Socket) -> None:
        body = self._conversation.continued(create.body)
        flow = self._turn_flow({**body, "stream": True})
        reply = TurnReply(socket, create.stream_id)
        try:
            async with self._answering.users.admitted(user_of(flow)) as refusal:
                await self._answering.begin(flow, self._intercepted, self._name, refusal=refusal).run(reply)
            await reply.drained()
        except Exception as error:  # noqa: BLE001  # one turn fails, and its client gets an error
            self._journal.failed(f"a turn to {self._intercepted.provider.name}", error)
            reply.fail(self._error_event(_FAULT))
            await reply.drained()
        finally:
            self._answering.over(flow)
            self._journal.turn(self._flow, flow)
        if reply.response_id:
            self._conversation.ended(reply.response_id, body, reply.output)

    def _turn_flow(self, body: JsonObject) -> http.HTTPFlow:
        """The turn as a call over HTTP."""
        flow = http.HTTPFlow(self._flow.client_conn, self._flow.server_conn)
        flow.request = self._flow.request.copy()
        flow.request.method = "POST"
        fields = [*_kept(flow.request.headers.fields), (b"Content-Type", b"application/json")]
        flow.request.headers.fields = (*fields, (b"Accept", b"text/event-stream"))
        flow.request.content = dump(body)
        same_user(flow, self._flow)
        return flow


async def _read(text: str) -> Create | Receipt | Fault:
    """A large message is parsed beside the event loop, on which other calls wait."""
    if len(text) < _LARGE:
        return read_message(text)
    return await asyncio.to_thread(read_message, text)


def _kept(fields: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The headers of a handshake that are about the calls, not about the WebSocket."""
    for name, value in fields:
        key = name.lower()
        kept = _without_beta(value) if key == b"openai-beta" else value
        if kept and key not in _HANDSHAKE and not key.startswith(b"sec-websocket-"):
            yield name, kept


def _without_beta(value: bytes) -> bytes:
    betas = [beta.strip() for beta in value.split(b",")]
    return b",".join(beta for beta in betas if not beta.startswith(BETA))


class Outlet(Protocol):
    """The part of a Socket that an answer needs."""

    async def send(self, texts: Sequence[str]) -> None: ...

    async def ping(self) -> None: ...


class TurnReply:
    """Where the answer to one turn goes; what `addons.call.passing.Response` asks for.

    What is written waits for `drained`, which sends it. The client gets one event that ends the turn,
    whatever goes wrong how often. An `error` in a stream waits for the `response.failed` that may follow,
    which then stands for both.

    Behind its end `response_id` names the response that the turn came to, empty if to none, and `output` has
    its items.
    """

    def __init__(self, socket: Outlet, stream_id: str) -> None:
        self._socket, self._stream_id = socket, stream_id
        self._events = EventMessages(stream_id)
        self._status = 0
        self._headers: Headers = ()
        self._streamed = False
        self._body = bytearray()
        self._items: list[JsonObject] = []
        self._response: JsonObject = {}
        self._error: JsonObject = {}
        self._over = False
        self._unsent: deque[list[str]] = deque()  # the messages of one write each; none: a ping

    @property
    def response_id(self) -> str:
        whole = text_at(self._response, "status") in {"completed", "incomplete"}
        return text_at(self._response, "id") if whole else ""

    @property
    def output(self) -> list[JsonObject]:
        return self._items

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        self._status = status
        self._headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        kind = dict(for_client(self._headers)).get("content-type", "")
        self._streamed = status < _FIRST_ERROR and not kind.startswith("application/json")
        return True

    def send(self, data: bytes) -> bool:
        if not self._streamed:
            self._body += data
        elif messages := self._events.feed(data):
            self._say(messages)
        elif not data.strip():
            self._unsent.append([])  # what shows life in a stream is no message here
        return not self._unsent

    def end(self) -> None:
        if self._streamed:
            self._say(self._events.eof())
            self.fail(self._failure("the answer has no end"))
        elif (response := self._whole()) is not None:
            self._say([event_message(event, self._stream_id) for event in events_of(response)])
        else:
            status = self._status if self._status >= _FIRST_ERROR else _NONSENSE
            self.fail(error_event(status, self._headers, bytes(self._body)))

    def abort(self, message: str) -> None:
        self.fail(self._failure(message))

    def fail(self, event: JsonObject) -> None:
        """The end of a turn that failed; nothing where it is over already."""
        if not self._over:
            self._over = True
            self._unsent.append([event_message(event, self._stream_id).text])

    async def drained(self) -> None:
        """Send what was written."""
        while self._unsent:
            if texts := self._unsent.popleft():
                await self._socket.send(texts)
            else:
                await self._socket.ping()

    def _failure(self, message: str) -> JsonObject:
        """What ends a stream that did not end itself."""
        if self._error:
            return failed_event(self._error, self._headers)
        answer = dump({"error": error_object("proxy_fault", message, _NONSENSE)})
        return error_event(_NONSENSE, (), answer)

    def _whole(self) -> JsonObject | None:
        """The response that came in one piece, None where it is none."""
        return load_object(bytes(self._body)) if self._status < _FIRST_ERROR else None

    def _say(self, messages: Sequence[EventMessage]) -> None:
        texts = [message.text for message in messages if self._passes(message)]
        if texts:
            self._unsent.append(texts)

    def _passes(self, message: EventMessage) -> bool:
        """Remember what it says; whether the client gets it now."""
        if self._over or message.error is not None:
            self._error = self._error or message.error or {}
            return False
        if message.item is not None:
            self._items.append(message.item)
        if message.response is not None:
            self._response, self._over = message.response, True
        return True
