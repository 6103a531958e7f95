"""The add-on that test_websocket_server runs inside mitmdump: sessions chosen by path, reports as JSON lines.

A WebSocket is known by the `name` in its query. Requests to control.test are orders, see `Script.order`.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.flow import Flow
from mitmproxy.proxy.layer import NextLayer

from addons.mitm import websocket_limits, websocket_server, websocket_session
from addons.mitm.dispatch import Forwarding, Responder
from addons.mitm.flows import FlowRegistry
from addons.mitm.layers import Layers
from addons.mitm.websocket_handshake import Accepted, accept
from addons.mitm.websocket_server import WebSocketServerLayer
from addons.mitm.websocket_session import Socket
from addons.secrets.redaction import Blackout
from tests.addons.mitm.stream_script import reported, say

LONGEST, WAITING, FRAME = 100_000, 3, 50_000
FULL = 64 * 1024
"""Bytes from which on asyncio lets a writer wait."""

websocket_limits.LONGEST_MESSAGE = LONGEST
websocket_session.MOST_WAITING = WAITING
websocket_server.LONGEST_FRAME = FRAME
websocket_server.GOODBYE = 0.05


class Sessions:
    """Each method is a path."""

    async def echo(self, socket: Socket, name: str) -> None:
        while True:
            await socket.send([await socket.receive()])

    async def thrice(self, socket: Socket, name: str) -> None:
        text = await socket.receive()
        await socket.send([text, text, text])
        await asyncio.Event().wait()

    async def patient(self, socket: Socket, name: str) -> None:
        await socket.send(["hold this"])
        say("after", name=name)
        await asyncio.Event().wait()

    async def ping(self, socket: Socket, name: str) -> None:
        await socket.ping()
        await asyncio.Event().wait()

    async def deaf(self, socket: Socket, name: str) -> None:
        await asyncio.Event().wait()

    async def crash(self, socket: Socket, name: str) -> None:
        raise LookupError(await socket.receive())

    async def talkative(self, socket: Socket, name: str) -> None:
        """Reports the first time that the client is the slower one, and when that does not hold it up."""
        watch = asyncio.ensure_future(self._full(socket, name))
        try:
            for _ in range(100_000):
                await socket.send(["x" * 10_000])
                if waiting(socket) > FULL:
                    say("overrun", name=name)
        finally:
            watch.cancel()

    async def _full(self, socket: Socket, name: str) -> None:
        while waiting(socket) <= FULL:  # noqa: ASYNC110  # a buffer has no event to wait for
            await asyncio.sleep(0)
        say("full", name=name)


def waiting(socket: Socket) -> int:
    """The bytes that the client has not taken."""
    assert socket._transport
    assert isinstance(socket._transport.writer, asyncio.StreamWriter)
    return socket._transport.writer.transport.get_write_buffer_size()


class Script:
    """The hooks."""

    def __init__(self) -> None:
        self.registry = FlowRegistry(self, lambda: None)
        self.sessions = Sessions()
        self.flows: dict[str, http.HTTPFlow] = {}

    def running(self) -> None:
        addresses = ctx.master.addons.get("proxyserver").listen_addrs()  # type: ignore[no-untyped-call]  # untyped
        say("running", port=addresses[0][1])

    def next_layer(self, nextlayer: NextLayer) -> None:
        Layers(self.registry, lambda host, port: False).next_layer(nextlayer)

    def hide(self, flow: http.HTTPFlow) -> None:
        pass

    def buffers(self, flow: http.HTTPFlow) -> float:
        return 0.0

    def streams(self, flow: http.HTTPFlow) -> bool:
        return True

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        return None

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        return None

    def update(self, flows: Sequence[Flow]) -> None:
        self.registry.update(flows)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        query = dict(flow.request.query.fields)
        if flow.request.host == "control.test":
            flow.response = http.Response.make(200, json.dumps(self.order(flow.request.path, query)))
            return
        self.flows[query["name"]] = flow
        answer = accept(flow.request)
        if isinstance(answer, http.Response):
            flow.response = answer
            return
        flow.response = answer.answer
        self._switch(flow, answer, query["name"])
        if "replaced" in query:
            flow.response = http.Response.make(403, b"another add-on")

    def _switch(self, flow: http.HTTPFlow, answer: Accepted, name: str) -> None:
        method = getattr(self.sessions, flow.request.path_components[0])

        async def session(socket: Socket) -> None:
            async with reported(name):
                await method(socket, name)

        self.registry.switch(
            flow,
            lambda context: WebSocketServerLayer(
                context, flow, answer.extensions, session, self.registry, Blackout([])
            ),
        )

    def websocket_start(self, flow: http.HTTPFlow) -> None:
        say("websocket_start", name=dict(flow.request.query.fields)["name"])

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        assert flow.websocket
        message = flow.websocket.messages[-1]
        if message.text.startswith("drop"):
            message.drop()  # type: ignore[no-untyped-call]  # untyped
        if message.text.startswith("hold"):
            say("held", name=dict(flow.request.query.fields)["name"])
            flow.intercept()  # type: ignore[no-untyped-call]  # untyped
        if message.from_client:
            message.text = message.text.replace("red", "blue")

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        say("websocket_end", name=dict(flow.request.query.fields)["name"])

    def order(self, path: str, query: dict[str, str]) -> Any:
        """Perform what a test asks for at control.test; the answer is JSON."""
        name = query.get("name", "")
        match path.partition("?")[0]:
            case "/kill":
                self.flows[name].kill()  # type: ignore[no-untyped-call]  # untyped
            case "/resume":
                self.flows[name].resume()  # type: ignore[no-untyped-call]  # untyped
            case "/inject":
                to_client = query["to"] == "client"
                text = query["text"].encode()
                ctx.master.commands.call("inject.websocket", self.flows[name], to_client, text, True)
            case "/interval":
                websocket_limits.PING_INTERVAL = float(query["seconds"])
            case "/flow":
                return describe(self.flows[name])
            case "/status":
                return {"active": self.registry.active(), "open": len(self.registry._open)}
        return None


def describe(flow: http.HTTPFlow) -> dict[str, object]:
    data = flow.websocket
    messages = data.messages if data else []
    return {
        "live": flow.live,
        "patched": "kill" in vars(flow),
        "code": data and data.close_code,
        "by_client": data and data.closed_by_client,
        "messages": len(messages),
        "last": [[each.from_client, each.text[:20], each.injected] for each in messages[-2:]],
    }


addons = [Script()]
