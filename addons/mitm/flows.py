"""Which flows are ours until they leave: their tasks, how a kill reaches them, and what their clients got.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`Flow.kill` sets error and live and wakes nobody; `Flow.wait_for_resume` is woken by `resume` alone;
the update hook runs after every other hook of a flow.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Client
from mitmproxy.flow import Error, Flow

from addons.mitm.dispatch import Dispatcher, Forwarding, Killable, Responder, Switch
from addons.mitm.draining import Draining
from rewrite.records.texts import BETWEEN

TRUNCATED_KEY = "rotator_body_truncated"
"""Set to True in `flow.metadata` when the kept body is only the first part of what was sent."""

CLEAN_AFTER = 32 << 20
"""Bytes of what has ended since the last cleaning. To give them back takes some 30 ms, and 100 ms and more
while hundreds of streams are open: it waits for as many times as much as there are hundreds of them."""

CONNECTION = 80 << 10
"""Bytes of a connection of a client that has ended: mitmproxy's layers refer to one another, and hold TLS."""

QUIET = 5.0
"""Seconds in which nothing was open, nor ended, after which all is given back: then that holds nobody up."""

_NOT_SENT = "an edit of the answer was taken back: it had been streamed to the client already"
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LAST_INTERIM, _WITHOUT_BODY = 199, frozenset({204, 205, 304})

type _Field = tuple[bytes, bytes]
type _Later = Callable[[float, Callable[[], None]], object]


def _by_the_loop(seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, callback)


class FlowRegistry:
    """Flows from their dispatch to their end. One per add-on; `response`, `error` and `update` are its hooks.

    `clean` gives memory back; it is called when enough bodies hang on flows that are over, and when it is
    quiet. `later` sets a timer, in seconds.
    """

    def __init__(
        self, dispatcher: Dispatcher, clean: Callable[[], None], later: _Later | None = None
    ) -> None:
        self._dispatcher, self._clean, self._later = dispatcher, clean, later or _by_the_loop
        self.draining = Draining()
        """The connections that flows come by, while the proxy ends."""
        self._ended_bytes = self._looked_at = 0
        self._looks = False  # in QUIET
        self._open: dict[str, Killable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._whole: WeakKeyDictionary[Flow, int] = WeakKeyDictionary()
        self._switches: WeakKeyDictionary[Flow, Switch] = WeakKeyDictionary()
        self._sent: WeakKeyDictionary[Flow, SentResponse] = WeakKeyDictionary()

    # -- hooks, after those of all who edit, and before those who save --------------------------------

    def response(self, flow: http.HTTPFlow) -> None:
        self._count(flow)
        self.put_back(flow, for_good=False)

    def error(self, flow: http.HTTPFlow) -> None:
        self._count(flow)

    def _count(self, flow: http.HTTPFlow) -> None:
        """The bodies of a flow that is over."""
        messages = (flow.request, flow.response)
        self._ended_bytes += sum(len(each.raw_content or b"") for each in messages if each is not None)
        self._clean_up()

    def client_disconnected(self, client: Client) -> None:
        self._ended_bytes += CONNECTION
        self._clean_up()

    def _clean_up(self) -> None:
        if self._ended_bytes >= CLEAN_AFTER * max(1, len(self._open) // 100):
            self._ended_bytes = 0
            self._clean()
        elif not self._looks:
            self._look_later()

    def _look_later(self) -> None:
        self._looks, self._looked_at = True, self._ended_bytes
        self._later(QUIET, self._look)

    def _look(self) -> None:
        """Clean up if it is quiet; if not, look again as long as there is anything to give back."""
        self._looks = False
        if self._open or self._ended_bytes != self._looked_at:
            self._look_later()
        elif self._ended_bytes:
            self._ended_bytes = 0
            self._clean()

    def update(self, flows: Sequence[Flow]) -> None:
        """Stop what the user has killed, and drop registrations that will not be used any more.

        mitmproxy runs the update hook after every other hook of a flow, so this sees each flow's end.
        """
        for each in flows:
            if _is_killed(each):
                self._stop(each)
            if _is_answered(each) and each in self._whole:
                del self._whole[each]
                _unwatch(each)
            if each.error is not None and self._switches.pop(each, None) is not None:
                _unwatch(each)

    # -- a request until it leaves --------------------------------------------------------------------

    def collect(self, flow: http.HTTPFlow, longest: int = 0) -> None:
        """Let this request's body come whole, whatever mitmproxy would stream for its size. `longest`: so
        many bytes are not too many."""
        flow.request.stream = False
        self._whole[flow] = longest
        self._watch(flow)

    def collected(self, flow: http.HTTPFlow) -> int | None:
        """How many bytes of a request that is collected are known not to be too many; None: it is not."""
        return self._whole.get(flow)

    def streams(self, flow: http.HTTPFlow) -> bool:
        return self._dispatcher.streams(flow)

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        responder = self._dispatcher.too_long(flow, size)
        if responder is not None:
            self._whole.pop(flow, None)
        return responder

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        """What becomes of a flow whose request is here as it leaves; its collecting ends by this."""
        dispatched = self._dispatcher.dispatch(flow)
        self._whole.pop(flow, None)
        if dispatched is not None:
            self._watch(flow)
        elif flow not in self._switches:
            _unwatch(flow)
        return dispatched

    # -- its answer -----------------------------------------------------------------------------------

    def opened(self, flow: http.HTTPFlow, stream: Killable) -> None:
        """A flow's response is ours from now on."""
        self._open[flow.id] = stream

    def start(self, work: Coroutine[None, None, None], client: Client) -> asyncio.Task[None]:
        """Run what answers a flow, and count it until it is done."""
        task = asyncio.create_task(self._counted(work), name="responder")
        task.client = client.peername  # type: ignore[attr-defined]  # which mitmproxy puts before log lines
        if not task.done():
            self._tasks.add(task)
        return task

    async def _counted(self, work: Coroutine[None, None, None]) -> None:
        """Its end costs no turn of the event loop, as one that is called back would."""
        try:
            await work
        finally:
            self._tasks.discard(asyncio.current_task())

    def active(self) -> int:
        """How many responders are running, those included that were cancelled and have not returned yet."""
        return len(self._tasks)

    def buffers(self, flow: http.HTTPFlow) -> float:
        return self._dispatcher.buffers(flow)

    def hide(self, flow: http.HTTPFlow) -> None:
        self._dispatcher.hide(flow)

    def sent(self, flow: http.HTTPFlow) -> None:
        """All of this flow's response has gone out as it stands, before any hook got it whole. Of others than
        ours nothing is noted."""
        if flow.id in self._open and flow.response is not None:
            self._sent[flow] = SentResponse.of(flow.response)

    def put_back(self, flow: http.HTTPFlow, *, for_good: bool = True) -> bool:
        """Whether an edit that was not sent had to be taken back; `for_good`: no hook comes after this."""
        sent = self._sent.get(flow)
        if sent is None or (flow.response is not None and sent == SentResponse.of(flow.response)):
            edited = False
        else:
            sent.write(flow)
            edited = True
        if for_good:
            self._sent.pop(flow, None)
        return edited

    def switch(self, flow: http.HTTPFlow, make: Switch) -> None:
        """Let what follows a flow's 101, of an add-on or of its server, go to a layer of ours."""
        self._switches[flow] = make
        self._watch(flow)

    def switched(self, flow: http.HTTPFlow) -> Switch | None:
        """The registration of a flow, which ends by this; None too if another answer took its 101's place."""
        make = self._switches.pop(flow, None)
        if make is None or (flow.response is not None and flow.response.status_code == 101):
            return make
        _unwatch(flow)
        return None

    def closed(self, flow: http.HTTPFlow) -> None:
        """Nothing more will come of this flow (also called for flows that are not ours)."""
        if self._open.pop(flow.id, None) is not None:
            _unwatch(flow)

    def leave(self) -> None:
        """The proxy ends, and waits for nothing that is open."""
        for each in [*self._open.values()]:
            each.leave()

    # -- a kill ---------------------------------------------------------------------------------------

    def _watch(self, flow: http.HTTPFlow) -> None:
        """Notice `flow.kill()` at once: mitmweb and scripts call it without an update hook."""

        def kill() -> None:
            http.HTTPFlow.kill(flow)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            self._stop(flow)

        flow.kill = kill  # type: ignore[method-assign]  # on this one flow, until it is closed

    def _stop(self, flow: Flow) -> None:
        stream = self._open.get(flow.id)
        if stream is not None:
            stream.kill()
        if stream is not None or flow in self._whole or flow in self._switches:
            flow.intercepted = True  # kill() leaves a paused hook waiting for ever, resume() wakes it
            flow.resume()  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def _is_killed(flow: Flow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE


def _is_answered(flow: Flow) -> bool:
    return flow.error is not None or (isinstance(flow, http.HTTPFlow) and flow.response is not None)


def _unwatch(flow: Flow) -> None:
    vars(flow).pop("kill", None)


def name_of(flow: http.HTTPFlow) -> str:
    """For a log line: method, host and path; a query may hold a key."""
    return f"{flow.request.method} {flow.request.pretty_host}{flow.request.path.partition('?')[0]}"


# -- what other add-ons may not change --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Framing:
    """How the body of an answer of ours is framed. It comes as its provider sends it, whatever length an
    add-on puts into the head, and a client would take the remainder for the next answer."""

    response: http.Response
    """The answer as it was before add-ons saw it."""

    status: int
    fields: tuple[_Field, ...]
    """Its headers."""

    @classmethod
    def of(cls, response: http.Response) -> "Framing":
        return cls(response, response.status_code, response.headers.fields)

    def restored(self, edited: http.Response | None) -> http.Response:
        """What other add-ons made of it, with the framing it had; as it was if they took it away."""
        response = edited or self.response
        if response.headers.fields is not self.fields:
            self._frame(response)
        if _has_body(self.status) != _has_body(response.status_code):
            response.status_code = self.status
        return response

    def _frame(self, response: http.Response) -> None:
        ours = tuple(filter(_frames, self.fields))
        if tuple(filter(_frames, response.headers.fields)) != ours:
            others = (each for each in response.headers.fields if not _frames(each))
            response.headers = http.Headers((*others, *ours))


def _frames(header: _Field) -> bool:
    return header[0].lower() in _FRAMING


def _has_body(status: int) -> bool:
    return status > _LAST_INTERIM and status not in _WITHOUT_BODY


@dataclass(frozen=True, slots=True)
class SentResponse:
    """What a client has got of a response, by which an edit that came too late is taken back."""

    status: int
    reason: bytes
    fields: tuple[_Field, ...]
    content: bytes | None
    """What is kept of its body for the inspector."""

    response: http.Response = field(compare=False)
    """The object in the flow when it was sent."""

    @classmethod
    def of(cls, response: http.Response) -> "SentResponse":
        data = response.data
        return cls(data.status_code, data.reason, data.headers.fields, data.content, response)

    def write(self, flow: http.HTTPFlow) -> None:
        """Into the response of `flow`, whatever took its place."""
        data = self.response.data
        data.status_code, data.reason, data.content = self.status, self.reason, self.content
        data.headers = http.Headers(self.fields)
        flow.response = self.response
        flow.comment = BETWEEN.join(filter(None, (flow.comment, _NOT_SENT)))
