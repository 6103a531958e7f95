"""An attempt as a flow of its own, for who wants to see each: its request without the key, its answer as it
came, and when."""

import time
from collections.abc import Callable

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.flow import Error

from addons.mitm.flows import TRUNCATED_KEY
from addons.mitm.messages import fields_of
from addons.mitm.sink import BODY_LIMIT
from addons.records.journal import Journal
from addons.records.record import KEY
from addons.secrets.redaction import Blackout
from addons.upstream.client import Receiver
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from addons.views.sent import Sent
from protocols.model.http import Head

MARKER = ":arrow_upper_right:"
FAILED = ":heavy_multiplication_x:"

type Shown = Callable[[http.HTTPFlow], None]
"""Shows a flow of which something has changed."""


class AttemptFlow:
    """A receiver between an attempt and the one that it is for, who gets all that comes."""

    def __init__(
        self,
        flow: http.HTTPFlow,
        sent: Sent,
        receiver: Receiver,
        blackout: Blackout,
        shown: Shown,
        journal: Journal,
    ) -> None:
        """`flow`: its own; `blackout`: of the key that it is asked with."""
        self.flow, self.number = flow, sent.number
        self._origin, self._receiver, self._blackout = sent.origin, receiver, blackout
        self._shown, self._journal = shown, journal
        self._body, self._is_over = bytearray(), False

    def sent(self) -> None:
        self.flow.request.timestamp_end = time.time()
        self._receiver.sent()

    def started(self, head: Head, reached: Reached) -> None:
        self._journal.reached(self.flow, self._origin, reached)
        self.flow.response = _response(self._blackout.head(head))
        self._shown(self.flow)
        self._receiver.started(head, reached)

    def received(self, data: bytes) -> None:
        room = BODY_LIMIT - len(self._body)
        self._body += data[:room]
        if len(data) > room:
            self.flow.metadata[TRUNCATED_KEY] = True
        self._receiver.received(data)

    def closed(self, cause: Cause | None) -> None:
        self._over(cause.text if cause else "")
        self._shown(self.flow)
        self._receiver.closed(cause)

    def end(self, outcome: str) -> None:
        """The call is over. `outcome`: what came of the attempt."""
        record = self.flow.metadata[KEY]
        self.flow.metadata[KEY] = {**record, "outcome": outcome}
        self.flow.comment = f"{self.flow.comment}: {outcome}"
        self.flow.marked = MARKER if outcome.startswith("completed") else FAILED
        self._over(outcome)
        self._shown(self.flow)

    def _over(self, why: str) -> None:
        """Nothing more comes. `why`: the answer has no end; empty: it has."""
        if self._is_over:
            return
        self._is_over, response = True, self.flow.response
        if response is not None:
            response.data.content = self._blackout.whole(bytes(self._body))
            response.timestamp_end = time.time()
        if why:
            self.flow.error = Error(why)


def _response(head: Head) -> http.Response:
    fields, reason = fields_of(head.headers), head.reason.encode("utf-8", "surrogateescape")
    now = time.time()
    return http.Response(b"HTTP/1.1", head.status, reason, http.Headers(fields), None, None, now, None)


def flow_of(client: http.HTTPFlow, sent: Sent, call: str) -> http.HTTPFlow:
    """The flow of an attempt of the call that `client` is the flow of."""
    origin = sent.origin
    flow = http.HTTPFlow(client.client_conn, Server(address=origin.address))
    body = client.request.raw_content if sent.body is None else sent.body
    fields, path = http.Headers(fields_of(sent.headers)), sent.path.encode("utf-8", "surrogateescape")
    where = origin.host, origin.port, sent.method.encode(), origin.scheme.encode(), b"", path
    flow.request = http.Request(*where, b"HTTP/1.1", fields, body, None, time.time(), None)
    flow.metadata[KEY] = {
        "of_call": call,
        "client_flow": client.id,
        "attempt": sent.number,
        "provider": sent.provider,
        "target": sent.target,
        "credential": sent.credential,
        "protocol": sent.protocol,
        "operation": sent.operation,
    }
    flow.comment = f"attempt {sent.number} of {call}: {sent.target} with {sent.credential}"
    flow.marked = MARKER
    return flow
