"""Which flows are traced, and the traces of those that no driver answers: what is passed through, what is
answered by us without a plan. Of these there are the heads alone."""

import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from weakref import WeakKeyDictionary

from mitmproxy import http
from pydantic import SecretStr

from addons.call.recognition import Intercepted
from addons.call.tracing import head_of_request, head_of_response, note_fault, note_received
from addons.credentials.carriers import ClientCredential
from addons.credentials.pool import Pool
from addons.mitm.dispatch import Forwarding
from addons.mitm.messages import request_of
from addons.records.record import record_of
from addons.records.trace import Traces
from protocols.model.call import Call
from protocols.model.http import WireRequest
from rewrite.catalog.clients import ClientFacts
from rewrite.catalog.routes import Rule
from rewrite.credentials.evidence import evidence_of
from rewrite.records.passes import Asked, CallTrace, Direction, Stage
from rewrite.records.verdict import Verdict


class FlowTraces:
    """Begins traces, and ends those that nobody else does. `clock`: seconds on the machine's clock."""

    def __init__(self, traces: Traces, pool: Pool, clock: Callable[[], float]) -> None:
        self._traces, self._pool, self._clock = traces, pool, clock
        # None: whoever answers the flow ends its trace.
        self._begun: WeakKeyDictionary[http.HTTPFlow, CallTrace | None] = WeakKeyDictionary()
        self.forwarding: WeakKeyDictionary[http.HTTPFlow, CallTrace] = WeakKeyDictionary()
        """Flows that are passed through and have no answer yet."""

    def call(
        self,
        flow: http.HTTPFlow,
        call: Call,
        facts: ClientFacts,
        rule: Rule,
        intercepted: Intercepted,
        request: WireRequest,
    ) -> CallTrace | None:
        """The trace of a call, which begins now and which `rule` fits; None: it is not traced. `facts`: what
        is known of its client."""
        began = Asked(call.protocol, intercepted.provider.name, call.model or "")
        session = partial(_session, call, facts)
        trace = self._begin(flow, call.id, rule, intercepted.own, began, session)
        if trace is not None:
            note_received(trace, request)
        return trace

    def taken(self, flow: http.HTTPFlow) -> None:
        """Whoever answers the flow ends its trace, if it has one."""
        self._begun[flow] = None

    def _begin(
        self,
        flow: http.HTTPFlow,
        call: str,
        rule: Rule,
        own: ClientCredential | None,
        began: Asked,
        session: Callable[[], str] = str,
    ) -> CallTrace | None:
        sink = self._traces.begin(call, rule, partial(self._secrets, own))
        if sink is None:
            return None
        now = self._clock()
        trace = self._begun[flow] = CallTrace(sink, call, began, now, time.time() - now, session())
        return trace

    def _secrets(self, own: ClientCredential | None) -> Sequence[SecretStr]:
        return [*self._pool.secrets(), *(own.secrets if own else ())]

    # -- flows that are no calls ----------------------------------------------------------------------

    def _flow(self, flow: http.HTTPFlow, intercepted: Intercepted) -> CallTrace | None:
        protocol = intercepted.protocol.name if intercepted.protocol else ""
        began = Asked(protocol, intercepted.provider.name, "")
        trace = self._begin(flow, secrets.token_hex(4), Rule(), intercepted.own, began)
        if trace is not None:
            request = request_of(flow.request)
            head = head_of_request(request.method, request.target, request.headers)
            trace.note("raw_request", Direction.REQUEST, Stage.CLIENT, head, changed=True)
        return trace

    def forwarded(self, flow: http.HTTPFlow, intercepted: Intercepted, forwarding: Forwarding) -> None:
        """A flow is passed through."""
        trace = self._flow(flow, intercepted)
        if trace is None:
            return
        self.forwarding[flow] = trace
        protocol = intercepted.protocol.name if intercepted.protocol else ""
        credential = str(record_of(flow).get("credential", ""))
        trace.asks(Asked(protocol, intercepted.provider.name, "", 1, credential))
        sent = request_of(forwarding.head(flow.request.copy()))
        head = head_of_request(sent.method, intercepted.origin.url(sent.target.encode()), sent.headers)
        trace.note("sent_request", Direction.REQUEST, Stage.PROVIDER, head, changed=True)

    def answered(self, flow: http.HTTPFlow) -> None:
        """The head of the answer to a flow is here, whoever wrote it."""
        trace = self.forwarding.pop(flow, None)
        if trace is not None and flow.response is not None and "end" not in record_of(flow):
            trace.now = self._clock()
            head = head_of_response(flow.response)
            trace.note("raw_response", Direction.RESPONSE, Stage.PROVIDER, head, changed=True)

    def failed(self, flow: http.HTTPFlow, intercepted: Intercepted | None, error: Exception) -> None:
        """A fault of ours ended the plan of a flow."""
        self._begin_late(flow, intercepted)
        if trace := self._begun.get(flow):
            trace.now = self._clock()
            note_fault(trace, error)

    def _begin_late(self, flow: http.HTTPFlow, intercepted: Intercepted | None) -> None:
        """The trace of a flow that nobody began or answers."""
        if flow not in self._begun and intercepted is not None:
            self._flow(flow, intercepted)

    def over(self, flow: http.HTTPFlow, intercepted: Intercepted | None) -> None:
        """A flow has ended. `intercepted`: what it was recognised as; None: it is no provider's."""
        self._begin_late(flow, intercepted)
        if trace := self._begun.get(flow):
            self._begun[flow] = None
            trace.now = self._clock()
            left = {"verdict": Verdict.LEFT.value, "end": "abandoned"}
            head = head_of_response(flow.response) if flow.response else left
            trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT, head, changed=True)
            trace.close()


def _session(call: Call, facts: ClientFacts) -> str:
    """A hash of the id that its client states."""
    stated = evidence_of(call, facts).session
    return stated.hex() if stated else ""
