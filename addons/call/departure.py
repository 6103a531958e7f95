"""What becomes of a flow when its request is about to leave: the last word, whatever add-ons did before.

A flow of a provider leaves through us or not at all. Which flows these are is decided here by the settings in
force, not by whether our own hook ran: an add-on that raises keeps those after it from theirs.
"""

import math
from functools import partial
from typing import Protocol
from weakref import WeakSet

from mitmproxy import flowfilter, http

from addons.call.answering import Answering
from addons.call.forwarding import Forwarder
from addons.call.passing import Fetching
from addons.call.recognition import Intercepted, Interception, Unadmitted, error_response
from addons.mitm.dispatch import Forwarding, Responder
from addons.mitm.messages import headers_of, set_headers, values_of
from addons.mitm.sink import Sink, answer_with
from addons.records.journal import Journal
from addons.records.record import user_of
from addons.secrets.redaction import Blackout, key_shaped
from addons.upstream.inflating import TooLong, inflated
from protocols.model.errors import Fault
from protocols.model.wirejson import MOST_VALUES, is_crowded
from rewrite.credentials.notices import Notice

LONGEST_COLLECTED = 1 << 20
"""Bytes of a passed-through request that other add-ons get whole, as they would without us. A longer one, or
one that does not say its length, is streamed."""

_UNADMITTED = (
    "this request was not forwarded: another add-on failed, or changed its host, before rotator saw it; "
    "see the proxy's log, and load rotator before other scripts"
)
_TURNED = "this request was not forwarded: another add-on made a call of it when its body was under way"
_UNBUFFERED = False, math.inf
_OWN_FAULT = "a fault of the proxy, not of the provider"


class OwnPages(Protocol):
    """The pages at the proxy's own host."""

    def has(self, flow: http.HTTPFlow) -> bool:
        """Whether a flow is for that host."""
        ...

    def responder(self, flow: http.HTTPFlow) -> Responder | None:
        """What answers it. None: it is for another host."""
        ...


class Departure:
    """Dispatches for the stream layer; what `addons.mitm.dispatch.Dispatcher` asks for."""

    def __init__(
        self,
        interception: Interception,
        forwarder: Forwarder,
        answering: Answering,
        journal: Journal,
        own: OwnPages,
    ) -> None:
        """`own` answers what is for the proxy's own host."""
        self._interception, self._forwarder = interception, forwarder
        self._answering, self._journal = answering, journal
        self._own = own
        self._filter: flowfilter.TFilter | None = None
        self._blocked: WeakSet[http.HTTPFlow] = WeakSet()

    def configure(self, expression: str) -> None:
        """Which answers other add-ons get whole. Raises ValueError for what is no flow filter."""
        self._filter = flowfilter.parse(expression) if expression else None

    def buffers(self, flow: http.HTTPFlow) -> float:
        wanted, seconds = self._answering.buffering.get(flow, _UNBUFFERED)
        if wanted or (self._filter and self._filter(flow) and not self._own.has(flow)):
            return seconds
        return 0.0

    def hide(self, flow: http.HTTPFlow) -> None:
        """The key of its client, which a provider repeats that was asked with it."""
        intercepted, response = self._interception.intercepted(flow), flow.response
        if intercepted is None or intercepted.pooled or intercepted.own is None or response is None:
            return
        blackout = Blackout(key_shaped(intercepted.own.secrets))
        set_headers(response, blackout.headers(headers_of(response)))
        response.data.content = blackout.whole(response.data.content or b"")

    def block(self, flow: http.HTTPFlow) -> None:
        """This flow never leaves, even if its answer is taken away again."""
        self._blocked.add(flow)

    def streams(self, flow: http.HTTPFlow) -> bool:
        """A call is answered when all of it is here."""
        intercepted = self._interception.intercepted(flow)
        return intercepted is None or intercepted.operation is None

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        """What answers a request whose body has more bytes than are collected; None: it has not."""
        if size <= self._interception.longest_body:
            return None
        intercepted = self._interception.intercepted(flow)
        return answer_with(flow.response or self._too_large(intercepted, self._longest))

    @property
    def _longest(self) -> str:
        return f"{self._interception.longest_body} bytes ([limits] body)"

    def _too_large(self, intercepted: Intercepted | None, bound: str) -> http.Response:
        message = f"the request has more than {bound}"
        fault = Fault(413, "request_too_large", message, should_retry=False)
        return error_response(intercepted, fault)

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        try:
            return self._planned(flow)
        except Unadmitted:
            return self._kept_here(flow, None, _UNADMITTED)
        except Exception as error:  # noqa: BLE001  # fails closed: nothing leaves, and the client gets an error
            return self._failed(flow, error)

    def _failed(self, flow: http.HTTPFlow, error: Exception) -> Responder:
        self._journal.failed(f"{flow.request.method} to {flow.request.pretty_host}", error)
        intercepted = self._interception.intercepted(flow)
        self._answering.flow_traces.failed(flow, intercepted, error)
        return answer_with(self._fault(intercepted, _OWN_FAULT))

    def _planned(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        if flow in self._blocked:
            raise Unadmitted
        intercepted = self._interception.leaving(flow)
        if intercepted is None:
            if own := self._own.responder(flow):
                return own
            self._note_moved(flow)
            self._forwarder.reroute(flow)
            return None
        if response := self._interception.error_response(flow):
            return answer_with(response)
        if intercepted.operation is None:
            forwarding = self._forwarder.forwarding(flow, intercepted)
            self._answering.flow_traces.forwarded(flow, intercepted, forwarding)
            return forwarding
        if flow.request.raw_content is None:
            return self._kept_here(flow, intercepted, _TURNED)
        if values_of(flow.request.headers, b"content-encoding"):
            return partial(self._when_decoded, flow, intercepted)
        return self._begun(flow, intercepted, flow.request.raw_content)

    def _begun(self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes) -> Responder:
        if len(body) > MOST_VALUES and is_crowded(body):
            return answer_with(self._too_large(intercepted, f"{MOST_VALUES} values"))
        if self._answering.is_early:
            return partial(self._when_begun, flow, intercepted, body)
        return self._admitted(flow, intercepted, body)

    def _admitted(self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes) -> Responder:
        if (user := user_of(flow)) and self._answering.users.is_capped(user):
            return partial(self._when_admitted, flow, intercepted, body)
        return self._answered(flow, intercepted, body)

    def _answered(
        self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes, refusal: Fault | None = None
    ) -> Responder:
        made = self._answering.begin(flow, intercepted, body=body, refusal=refusal)
        return (
            partial(self._when_fetched, flow, intercepted, made) if isinstance(made, Fetching) else made.run
        )

    async def _when_begun(
        self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes, sink: Sink
    ) -> None:
        """A key may rest, or a conversation stay on one, for all that is known in the first moments."""
        respond: Responder
        try:
            await self._answering.begun()
            respond = self._admitted(flow, intercepted, body)
        except Exception as error:  # noqa: BLE001  # as in `dispatch`
            respond = self._failed(flow, error)
        await respond(sink)

    async def _when_fetched(
        self, flow: http.HTTPFlow, intercepted: Intercepted, fetching: Fetching, sink: Sink
    ) -> None:
        """What a call continues may be with another proxy."""
        respond: Responder
        try:
            respond = (await fetching.made()).run
        except Exception as error:  # noqa: BLE001  # as in `dispatch`
            respond = self._failed(flow, error)
        await respond(sink)

    async def _when_admitted(
        self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes, sink: Sink
    ) -> None:
        """A user with a limit may have to wait for the word of other proxies."""
        async with self._answering.users.admitted(user_of(flow)) as refusal:
            respond: Responder
            try:
                respond = self._answered(flow, intercepted, body, refusal)
            except Exception as error:  # noqa: BLE001  # as in `dispatch`
                respond = self._failed(flow, error)
            await respond(sink)

    async def _when_decoded(self, flow: http.HTTPFlow, intercepted: Intercepted, sink: Sink) -> None:
        """A compressed request may come to much more than was sent."""
        respond: Responder
        try:
            coding = ",".join(flow.request.headers.get_all("content-encoding"))
            longest = self._interception.longest_body
            body = await inflated(flow.request.raw_content or b"", coding, longest)
            respond = self._begun(flow, intercepted, body)
        except TooLong:
            respond = answer_with(self._too_large(intercepted, self._longest))
        except Exception as error:  # noqa: BLE001  # as in `dispatch`
            respond = self._failed(flow, error)
        await respond(sink)

    def _note_moved(self, flow: http.HTTPFlow) -> None:
        if self._interception.intercepted(flow):
            host = flow.request.pretty_host
            moved = f"another add-on moved a request to {host}: it leaves without any key"
            self._journal.notice(Notice(moved, warning=True))

    def _kept_here(self, flow: http.HTTPFlow, intercepted: Intercepted | None, message: str) -> Responder:
        self._interception.disarm(flow)
        request = flow.request
        line = f"{request.method} {request.pretty_host}{request.path}: {message}"
        self._journal.notice(Notice(line, warning=True))
        return answer_with(self._fault(intercepted, message))

    def _fault(self, intercepted: Intercepted | None, message: str) -> http.Response:
        fault = Fault(502, "proxy_fault", message, should_retry=False)
        return error_response(intercepted, fault)


def is_short(request: http.Request) -> bool:
    """Whether a body is known to be short, or there is none."""
    if "transfer-encoding" in request.headers:
        return False
    length = request.headers.get("content-length", "" if request.is_http2 or request.is_http3 else "0")
    return length.isdecimal() and int(length) <= LONGEST_COLLECTED
