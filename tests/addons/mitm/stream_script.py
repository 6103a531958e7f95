"""The add-on that runs inside mitmdump in tests of streams: responders chosen by path, reports as JSON lines.

A request is known by the `name` in its query. `pause=HOOK` intercepts the flow in that hook, `kill=HOOK`
kills it there, `edit=HOOK` puts another answer in place of its own,
`answered=1` lets "another add-on" answer it too. Requests to control.test are orders, see `Script.order`.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from weakref import WeakSet

from mitmproxy import ctx, http
from mitmproxy.flow import Error, Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.server import ConnectionHandler

from addons.mitm.direct import Write
from addons.mitm.dispatch import Forwarding, Responder
from addons.mitm.flows import FlowRegistry
from addons.mitm.layers import Layers
from addons.mitm.sink import Sink, handler_of
from addons.mitm.stream import RelayStream

PLAIN = [(b"content-type", b"text/plain")]
BLOCK = bytes(range(256)) * 256
CREDENTIAL = "sk-pool-credential"


def say(event: str, **facts: object) -> None:
    """One report to the test."""
    print(json.dumps({"event": event, **facts}), flush=True)  # noqa: T201  # the channel to the test


class Answers:
    """What the responders do. Each method is a path; `query` is the request's."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def hello(self, sink: Sink, query: dict[str, str]) -> None:
        sink.start(200, b"Fine", PLAIN)
        sink.send(b"hello ")
        sink.send(b"")
        sink.send(b"world")
        sink.end()

    async def sized(self, sink: Sink, query: dict[str, str]) -> None:
        sink.start(200, b"OK", [*PLAIN, (b"Content-Length", b"5")])
        sink.send(b"sized")
        sink.end()

    async def empty(self, sink: Sink, query: dict[str, str]) -> None:
        sink.start(204, b"No Content", [])
        sink.send(b"not allowed")
        sink.end()

    async def pace(self, sink: Sink, query: dict[str, str]) -> None:
        """One part, then one more each time a gate opens: NAME-1, NAME-2."""
        sink.start(200, b"OK", PLAIN)
        sink.send(b"part 0\n")
        for number in (1, 2):
            await self.gate(f"{query['name']}-{number}").wait()
            sink.send(b"part %d\n" % number)
        sink.end()

    async def ways(self, sink: Sink, query: dict[str, str]) -> None:
        """Three pieces; reports which of them went the short way. `layers`: none is to."""
        stream, started, taken = cast(RelayStream, sink._stream), time.time(), list[bool]()
        sink.start(200, b"OK", PLAIN)
        await sink.drained()
        while stream._paused:  # noqa: ASYNC110  # the head is on its way through its hook
            await asyncio.sleep(0)
        written = list[bytes]()
        sink.direct = (
            noting(sink.direct, written) if sink.direct is not None and "layers" not in query else None
        )
        for piece in (b"one\n", b"two\n", BLOCK):
            stream._handler.timeout_watchdog.last_activity = 0
            sink.send(piece)
            await sink.drained()
            assert stream._handler.timeout_watchdog.last_activity >= started
            taken.append(b"".join(written) == piece)
            written.clear()
        sink.end()
        say("ways", name=query["name"], taken=taken)

    async def mute(self, sink: Sink, query: dict[str, str]) -> None:
        await self.gate("never").wait()

    async def silence(self, sink: Sink, query: dict[str, str]) -> None:
        sink.start(200, b"OK", PLAIN)
        sink.send(b"first")
        say("first", name=query["name"])
        await self.gate("never").wait()

    async def big(self, sink: Sink, query: dict[str, str]) -> None:
        """`blocks` times 64 KiB; reports the first time that the client is the slower one."""
        sink.start(200, b"OK", PLAIN)
        watch = asyncio.ensure_future(self._draining(sink, query["name"]))
        try:
            for _ in range(int(query["blocks"])):
                if not sink.send(BLOCK):
                    await sink.drained()
            sink.end()
        finally:
            watch.cancel()

    async def _draining(self, sink: Sink, name: str) -> None:
        while sink._queue or sink._has_room():  # noqa: ASYNC110  # what is sent sets no event
            await asyncio.sleep(0)
        say("draining", name=name)

    async def abort(self, sink: Sink, query: dict[str, str]) -> None:
        if "early" not in query:
            sink.start(200, b"OK", PLAIN)
            sink.send(b"half")
        sink.abort("the provider is gone")
        await asyncio.sleep(0)
        say("after", name=query["name"])

    async def crash(self, sink: Sink, query: dict[str, str]) -> None:
        if "early" not in query:
            sink.start(200, b"OK", PLAIN)
            sink.send(b"half")
        raise LookupError(f"quotes {CREDENTIAL}")

    async def forget(self, sink: Sink, query: dict[str, str]) -> None:
        sink.start(200, b"OK", PLAIN)

    async def headless(self, sink: Sink, query: dict[str, str]) -> None:
        sink.send(b"no head yet")

    async def desert(self, sink: Sink, query: dict[str, str]) -> None:
        """Ends by a cancellation that is not ours."""
        sink.start(200, b"OK", PLAIN)
        raise asyncio.CancelledError

    async def stubborn(self, sink: Sink, query: dict[str, str]) -> None:
        """Continues after it was cancelled."""
        sink.start(200, b"OK", PLAIN)
        try:
            say("first", name=query["name"])
            await self.gate("never").wait()
        finally:
            sink.send(b"too late")
            sink.end()
            say("after", name=query["name"])

    async def tidy(self, sink: Sink, query: dict[str, str]) -> None:
        """Takes its time to leave when it is cancelled."""
        sink.start(200, b"OK", PLAIN)
        try:
            say("first", name=query["name"])
            await self.gate("never").wait()
        finally:
            await self.gate(query["name"]).wait()
            say("after", name=query["name"])

    async def bookkeeper(self, sink: Sink, query: dict[str, str]) -> None:
        """Has work to do after the end."""
        await self.hello(sink, query)
        say("ended", name=query["name"])
        await self.gate(query["name"]).wait()
        say("after", name=query["name"])


def noting(direct: Write, written: list[bytes]) -> Write:
    def write(data: bytes) -> bool:
        written.append(data)
        return direct(data)

    return write


@asynccontextmanager
async def reported(name: str) -> AsyncIterator[None]:
    say("started", name=name)
    try:
        yield
    except asyncio.CancelledError:
        say("cancelled", name=name)
        raise


class Script:
    """The hooks."""

    def __init__(self) -> None:
        self.registry = FlowRegistry(self, lambda: None)
        self.answers = Answers()
        self.flows: dict[str, http.HTTPFlow] = {}
        self.layers: WeakSet[HttpLayer] = WeakSet()

    def running(self) -> None:
        addresses = ctx.master.addons.get("proxyserver").listen_addrs()  # type: ignore[no-untyped-call]  # untyped
        say("running", port=addresses[0][1])

    def next_layer(self, nextlayer: NextLayer) -> None:
        Layers(self.registry, lambda host, port: False).next_layer(nextlayer)
        self.layers.update(each for each in nextlayer.context.layers if isinstance(each, HttpLayer))

    def update(self, flows: Sequence[Flow]) -> None:
        self.registry.update(flows)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        query = dict(flow.request.query.fields)
        if "name" in query and flow.request.host != "control.test":
            self.flows[query["name"]] = flow
            flow.request.stream = "port" in query or "streamed" in query
            if not flow.request.stream:
                self.registry.collect(flow)
        if "denied" in query:
            flow.response = http.Response.make(407, b"denied")

    def hide(self, flow: http.HTTPFlow) -> None:
        pass

    def buffers(self, flow: http.HTTPFlow) -> float:
        return float(dict(flow.request.query.fields).get("buffer", "0"))

    def streams(self, flow: http.HTTPFlow) -> bool:
        query = dict(flow.request.query.fields)
        return "port" in query or "hasty" in query

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        return None

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        query = dict(flow.request.query.fields)
        if "name" not in query or flow.is_replay:
            return None
        if "port" in query:
            return forwarding(flow, int(query["port"]), tls="tls" in query)
        return self.responder(flow.request.path, query)

    async def request(self, flow: http.HTTPFlow) -> None:
        query = dict(flow.request.query.fields)
        if flow.request.host == "control.test":
            flow.response = http.Response.make(200, json.dumps(self.order(flow.request.path, query)))
            return
        if "name" not in query or "port" in query:
            return
        if "answered" in query:
            flow.response = http.Response.make(200, b"another add-on")
        self._hook("request", flow)

    def responder(self, path: str, query: dict[str, str]) -> Responder:
        method = getattr(self.answers, path.partition("?")[0].removeprefix("/"))

        async def respond(sink: Sink) -> None:
            async with reported(query["name"]):
                await method(sink, query)

        return respond

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self._hook("responseheaders", flow)

    def response(self, flow: http.HTTPFlow) -> None:
        self._hook("response", flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._hook("error", flow)

    def _hook(self, hook: str, flow: http.HTTPFlow) -> None:
        query = dict(flow.request.query.fields)
        if "name" not in query or flow.request.host == "control.test":
            return
        say(hook, name=query["name"], error=flow.error.msg if flow.error else None)
        if query.get("pause") == hook:
            flow.intercept()  # type: ignore[no-untyped-call]  # untyped
        if query.get("edit") == hook and flow.response:
            flow.response = http.Response.make(201, b"edited", {"x-edited": "yes"})
        if query.get("kill") == hook:
            flow.kill()  # type: ignore[no-untyped-call]  # untyped

    def order(self, path: str, query: dict[str, str]) -> Any:
        """Perform what a test asks for at control.test; the answer is JSON."""
        name = query.get("name", "")
        match path.partition("?")[0]:
            case "/open":
                self.answers.gate(name).set()
            case "/resume":
                self.flows[name].resume()  # type: ignore[no-untyped-call]  # untyped
            case "/kill":
                self.flows[name].kill()  # type: ignore[no-untyped-call]  # untyped
            case "/kill-by-command":
                ctx.master.commands.call("flow.kill", [self.flows[name]])
            case "/kill-by-error":
                self.flows[name].error = Error(Error.KILLED_MESSAGE)
                ctx.master.addons.trigger(UpdateHook([self.flows[name]]))
            case "/replay":
                ctx.master.commands.call("replay.client", [self.flows[name]])
            case "/flow":
                return describe(self.flows[name])
            case "/interrupt":
                self._interrupting = asyncio.ensure_future(
                    interrupt(handler_of(self.flows[name].client_conn))
                )
            case "/status":
                return self.status()
        return None

    def status(self) -> dict[str, object]:
        streams = [each for http_layer in self.layers for each in http_layer.streams.values()]
        paths = [each.flow.request.path for each in streams if each.flow.request.method != "CONNECT"]
        return {
            "active": self.registry.active(),
            "collected": len(self.registry._whole),
            "open": len(self.registry._open),
            "streams": [path for path in paths if path.partition("?")[0] != "/status"],
        }


async def interrupt(handler: ConnectionHandler) -> None:
    """End the task of a client's connection in the middle of its report that the client has left."""
    reading, lock = handler.transports[handler.client].handler, handler._server_event_lock
    assert reading is not None
    async with lock:
        reading.cancel()
        while not lock._waiters:  # noqa: ASYNC110  # mitmproxy has no event for it
            await asyncio.sleep(0)
        reading.cancel()
    await asyncio.wait([reading])
    say("interrupted", cancelled=reading.cancelled())


def describe(flow: http.HTTPFlow) -> dict[str, object]:
    """What the inspector would show; get_state is what -w and mitmweb call."""
    response = flow.get_state()["response"]
    content = response and response["content"]
    return {
        "live": flow.live,
        "status": response and response["status_code"],
        "request": len(flow.request.raw_content or b""),
        "error": flow.error.msg if flow.error else None,
        "kept": None if content is None else len(content),
        "comment": flow.comment,
        "truncated": flow.metadata.get("rotator_body_truncated", False),
        "patched": "kill" in vars(flow),
        "authorization": flow.request.headers.get("authorization"),
        "host": flow.request.host,
    }


def forwarding(flow: http.HTTPFlow, port: int, tls: bool) -> Forwarding:
    def head(request: http.Request) -> http.Request:
        request.headers["authorization"] = f"Bearer {CREDENTIAL}"
        request.headers["host"] = "elsewhere.test"
        return request

    return Forwarding(("127.0.0.1", port), tls, head, partial(no_answer, flow), screen=Capitals())


def no_answer(flow: http.HTTPFlow, message: str) -> Responder:
    async def respond(sink: Sink) -> None:
        sink.start(502, b"Bad Gateway", PLAIN)
        sink.send(b"no answer: " + message.encode())
        transports = handler_of(flow.client_conn).transports
        while flow.server_conn in transports:  # noqa: ASYNC110  # its end has been reported by then
            await asyncio.sleep(0)
        sink.end()

    return respond


class Capitals:
    """Writes the letter x as X, and keeps one that ends a piece until the next; a Y breaks the answer."""

    def __init__(self) -> None:
        self._kept = b""

    def head(self, response: http.Response) -> None:
        mark = response.headers.get("x-mark", "").encode()
        if mark:
            response.headers["x-mark"] = self._written(mark).decode()

    def feed(self, data: bytes) -> bytes:
        data = self._kept + data
        self._kept = b"x" if data.endswith(b"x") else b""
        return self._written(data.removesuffix(b"x"))

    def remainder(self) -> bytes:
        return self._written(self._kept)

    def trailers(self, fields: http.Headers) -> http.Headers:
        return fields

    def _written(self, data: bytes) -> bytes:
        if b"Y" in data:
            raise LookupError(f"quotes {CREDENTIAL}")
        return data.replace(b"x", b"X")


addons = [Script()]
