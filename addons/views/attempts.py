"""Watches the attempts of calls where somebody can look at them: in mitmweb, in mitmproxy, or as flows."""

from mitmproxy import http

from addons.credentials.lease import Lease
from addons.records.journal import Journal
from addons.records.record import KEY, record_of
from addons.secrets.redaction import Blackout
from addons.upstream.client import Receiver
from addons.views.attempt_flow import AttemptFlow, Shown, flow_of
from addons.views.sent import Sent, SentRequests, sent_request
from protocols.model.http import UpstreamRequest, WireRequest
from rewrite.targets.target import Target

_LEFT = "cancelled"


class Attempts:
    """Those of all calls."""

    def __init__(self, journal: Journal, shown: Shown, over: Shown) -> None:
        """`shown` shows the flow of an attempt, `over` saves it when nothing more comes."""
        self._journal, self._shown, self._over = journal, shown, over
        self.requests = SentRequests()
        self._is_listed = self._as_flows = False
        self.is_on = False
        """Whether anybody looks."""

    def configure(self, *, is_listed: bool, as_flows: bool) -> None:
        """`is_listed`: there is a list of flows, so that somebody may ask what was sent; `as_flows`: each
        attempt is a flow of its own."""
        self._is_listed, self._as_flows = is_listed, as_flows
        self.is_on = is_listed or as_flows

    def watch(self, flow: http.HTTPFlow, call: str, received: WireRequest) -> "Watched":
        """For a call that begins: its flow, its id, and what its client sent."""
        return Watched(self, flow, call, received)

    def note(self, flow: http.HTTPFlow, sent: Sent) -> None:
        if self._is_listed:
            self.requests.note(flow, sent)

    def begin(
        self, client: http.HTTPFlow, call: str, sent: Sent, lease: Lease, receiver: Receiver
    ) -> AttemptFlow | None:
        """The flow of an attempt of a call, whose flow is `client`. None: it has none."""
        if not self._as_flows:
            return None
        flow = flow_of(client, sent, call)
        known = record_of(client)
        client.metadata[KEY] = {**known, "attempt_flows": [*known.get("attempt_flows", ()), flow.id]}
        self._shown(flow)
        return AttemptFlow(flow, sent, receiver, Blackout([lease.secret]), self._shown, self._journal)

    def end(self, attempt: AttemptFlow, outcome: str) -> None:
        attempt.end(outcome)
        self._over(attempt.flow)


class Watched:
    """Those of one call."""

    __slots__ = ("_attempts", "_call", "_flow", "_flows", "_received")

    def __init__(self, attempts: Attempts, flow: http.HTTPFlow, call: str, received: WireRequest) -> None:
        self._attempts, self._flow, self._call, self._received = attempts, flow, call, received
        self._flows: list[AttemptFlow] = []

    def asks(
        self, number: int, target: Target, lease: Lease, request: UpstreamRequest, receiver: Receiver
    ) -> Receiver:
        """The attempt `number` begins. Who is to get what comes of it, which goes on to `receiver`."""
        sent = sent_request(number, target, lease, request, self._received)
        self._attempts.note(self._flow, sent)
        attempt = self._attempts.begin(self._flow, self._call, sent, lease, receiver)
        if attempt is None:
            return receiver
        self._flows.append(attempt)
        return attempt

    def over(self) -> None:
        """The call is over, and its record is written."""
        record = record_of(self._flow).get("attempts", ())
        outcomes = {one.get("attempt"): one.get("outcome") for one in record}
        flows, self._flows = self._flows, []
        for each in flows:
            self._attempts.end(each, str(outcomes.get(each.number) or _LEFT))
