"""A recognised flow becomes a call, and the call a driver with all that it needs."""

import asyncio
import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.call.driver import Driver, Response, Work, pass_once
from addons.call.planning import Plan, Planner
from addons.call.recognition import Intercepted
from addons.call.refusal import Passing, Refusal
from addons.call.request import outgoing, own_lease, written
from addons.config.settings import Settings
from addons.credentials.pool import NO_LEASE, Asker, Lease, Pool
from addons.mitm.messages import headers_of, response_of, wire_request, without_hops
from addons.records.journal import Journal, Record
from addons.records.trace import Traces
from addons.responses.kept import Missing, Responses, Turn, not_to_be_kept, unknown_elsewhere
from addons.responses.storage import Memory, State
from addons.runtime.clock import Clock
from addons.secrets.redaction import Blackout, key_shaped
from addons.upstream.client import Upstream
from protocols.model.call import Call
from protocols.model.errors import MalformedRequest
from protocols.model.http import WireRequest, header
from protocols.registry import Registry
from rewrite.catalog.clients import facts_for, with_session
from rewrite.catalog.routes import RouteUse
from rewrite.credentials.notices import Notice
from rewrite.credentials.rotation import Unavailable
from rewrite.exchange.exchange import Exchange
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.responses.store import is_kept, scope_of
from rewrite.target.target import Target, Terms
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Outcome


class Answering:
    """Makes drivers under the current settings; a driver keeps those it was made under."""

    def __init__(self, registry: Registry, pool: Pool, journal: Journal, traces: Traces) -> None:
        self._registry, self._pool, self._journal, self._traces = registry, pool, journal, traces
        self.responses = Responses(State(Memory(), time.time), time.time)
        self._settings: Settings | None = None
        self._planner: Planner | None = None
        self._routes = RouteUse(())
        self._upstream: Upstream | None = None
        self._former: list[Upstream] = []
        self._clock = Clock()
        self._drivers: WeakKeyDictionary[http.HTTPFlow, Driver] = WeakKeyDictionary()
        self._buffering: WeakKeyDictionary[http.HTTPFlow, tuple[bool, float]] = WeakKeyDictionary()

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Connections that are not used any more are closed behind the last call that may use them."""
        if self._upstream not in (None, upstream):
            self._former.append(self._upstream)
        self._settings, self._upstream = settings, upstream
        self._planner = Planner(settings, self._registry)
        self._routes = RouteUse(settings.rules)
        self._traces.configure(settings.trace)

    async def close(self) -> None:
        """The proxy ends: calls that are open leave their record."""
        for driver in list(self._drivers.values()):
            driver.stop("the proxy was stopped")
        await _close([*self._former, *filter(None, [self._upstream])])

    def begin(
        self, flow: http.HTTPFlow, intercepted: Intercepted, session: str = "", body: bytes | None = None
    ) -> Driver | Refusal | Passing:
        """What answers a recognised call, ready to run. `session` names its conversation if it does not;
        `body`: that of a compressed request, decoded."""
        assert intercepted.protocol is not None
        call = self._call(flow, intercepted, body)
        call = replace(call, session=call.session or session or None)
        turn = self.responses.turn(call, _scope(intercepted))
        if isinstance(turn, Missing):
            return self._refusal(Record(flow, call, intercepted.provider.name, ()), intercepted, turn)
        assert self._planner is not None
        now = self._clock()
        plan = self._planner.plan(turn, intercepted, flow.request, now)
        for text in self._routes.note(plan.rule, turn.call.model):
            self._journal.notice(Notice(text, warning=True))
        name = intercepted.provider.name
        record = Record(flow, turn.call, name, plan.targets, plan.refused, plan.rule)
        if not plan.targets:
            told = Missing(intercepted.protocol.error(plan.fault), plan.fault)
            return self._refusal(record, intercepted, unknown_elsewhere(call, plan.refused) or told)
        if call.background and plan.targets[0].rendered is None:
            return self._passing(flow, intercepted)
        return self._driver(record, intercepted, plan, turn, now)

    def _refusal(self, record: Record, intercepted: Intercepted, told: Missing) -> Refusal:
        def report(summary: Summary) -> None:
            self._journal.end(record, summary)
            self._trace(record, intercepted, summary)

        return Refusal(told.answer, told.fault, report)

    def _trace(self, record: Record, intercepted: Intercepted, summary: Summary) -> None:
        own = key_shaped(intercepted.own.secrets) if intercepted.own else []
        self._traces.write(record, summary, [*self._pool.secrets(), *own])

    def _passing(self, flow: http.HTTPFlow, intercepted: Intercepted) -> Passing:
        """An answer that is made later belongs to an account, like a file or a batch."""
        lease = self._pool.account(intercepted.provider.name) if intercepted.pooled else None
        lease = lease or own_lease(intercepted)
        record = {"provider": intercepted.provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(flow, record)
        return Passing(partial(self.pass_once, flow, intercepted, lease))

    def kept(self, flow: http.HTTPFlow, intercepted: Intercepted) -> http.Response | None:
        """The answer to a request about a response that we keep; None: it is about something else."""
        request = flow.request
        answer = self.responses.answer(request.method, request.path, _scope(intercepted))
        if answer is None:
            return None
        self._journal.begin(flow, {"provider": intercepted.provider.name, "kept_response": True})
        return response_of(answer)

    def _report(
        self, record: Record, intercepted: Intercepted, plan: Plan, turn: Turn, summary: Summary
    ) -> None:
        """The call is over: its record, and its response where it is ours to keep."""
        self._journal.end(record, summary)
        self._remember(turn, plan.targets[summary.route], summary)
        hidden = not_to_be_kept(self._pool.secrets(), intercepted.own)
        self.responses.keep(turn, plan.targets[summary.route].translation, summary, hidden)
        self._trace(record, intercepted, summary)

    def _remember(self, turn: Turn, target: Target, summary: Summary) -> None:
        """Which key made an answer that its provider keeps; others are never gone on from by their id."""
        head = summary.progress.head
        kept = target.protocol.name == RESPONSES and is_kept(turn.body, summary.end)
        if kept and target.terms.pooled and target.translation is None and head and summary.attempts:
            self._pool.made(target.provider.name, head.id, summary.attempts[-1].credential)

    def _driver(self, record: Record, intercepted: Intercepted, plan: Plan, turn: Turn, now: float) -> Driver:
        flow, call, targets = record.flow, record.call, plan.targets
        assert intercepted.protocol is not None
        assert self._upstream is not None
        self._buffering[flow] = not plan.rule.stream, _may_be_kept(call, targets[0].terms)
        request = flow.request.copy()
        asker = _asker(flow, intercepted, call)
        work = Work(
            call=call,
            protocol=intercepted.protocol,
            exchange=Exchange(call, intercepted.protocol, targets, now),
            upstream=self._upstream,
            connect_timeout=targets[0].terms.timing.connect,
            acquire=lambda wish: self._acquire(intercepted, targets, wish),
            release=lambda route, lease, outcome: self._release(targets[route], lease, outcome, asker),
            request=lambda route, lease, instead: outgoing(
                request, targets[route], intercepted, lease, instead
            ),
            untouched=lambda route: targets[route].untouched,
            report=partial(self._report, record, intercepted, plan, turn),
            reached=partial(self._journal.reached, flow),
            waiting=partial(self._journal.waiting, record),
            asked_again=partial(self._journal.asked_again, record),
            failed=partial(self._journal.failed, f"call {call.id} to {intercepted.provider.name}"),
            clock=self._clock,
        )
        driver = self._drivers[flow] = Driver(work)
        return driver

    def buffering(self, flow: http.HTTPFlow) -> tuple[bool, float]:
        """Whether the route of a call wants its answer whole before the client gets it, and for how many
        seconds it may be kept."""
        return self._buffering.get(flow, (False, math.inf))

    async def pass_once(
        self, flow: http.HTTPFlow, intercepted: Intercepted, lease: Lease, response: Response
    ) -> None:
        """One attempt, on one credential."""
        assert self._settings is not None
        assert self._upstream is not None
        headers = without_hops(headers_of(flow.request))
        headers, target = written(intercepted, lease, headers, flow.request.path)
        request = wire_request(flow.request, intercepted.origin, headers, target)
        blackout = Blackout([lease.secret] if lease.pooled else ())
        await pass_once(self._upstream, request, self._settings.timeouts.connect, blackout, response)

    def _call(self, flow: http.HTTPFlow, intercepted: Intercepted, body: bytes | None) -> Call:
        """A body that is not one of the protocol still goes to the provider: its 400 comes back."""
        protocol, operation = intercepted.protocol, intercepted.operation
        assert protocol is not None
        assert operation is not None
        request = flow.request
        said = request.raw_content or b"" if body is None else body
        wire = WireRequest(request.method, request.path, headers_of(request), said)
        call_id = secrets.token_hex(4)
        try:
            call = protocol.parse(call_id, operation, wire)
        except MalformedRequest:
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        assert self._settings is not None
        facts = facts_for(self._settings.clients, header(call.headers, "user-agent") or "")
        return with_session(call, facts.session_header)

    def _acquire(
        self, intercepted: Intercepted, targets: Sequence[Target], wish: Acquire
    ) -> Lease | Unavailable:
        target, fallback = targets[wish.route], wish.route + 1 < len(targets)
        if target.terms.pooled:
            return self._pool.acquire(target.provider.name, target.call, wish, fallback=fallback)
        return own_lease(intercepted) if target.route.meant else NO_LEASE

    def _release(self, target: Target, lease: Lease, outcome: Outcome, asker: Asker) -> None:
        if lease.pooled:
            self._pool.release(target.provider.name, lease, target.call, outcome, asker)

    def over(self, flow: http.HTTPFlow) -> None:
        """The flow has ended; where the client left or it was killed, its record comes before its saving."""
        driver = self._drivers.pop(flow, None)
        if driver is not None:
            driver.client_gone()
        if self._former and not self._drivers:
            former, self._former = self._former, []
            self._closing = asyncio.get_running_loop().create_task(_close(former))


def _may_be_kept(call: Call, terms: Terms) -> float:
    """A stream so long as a client waits for a head, and not at all where it was promised life before."""
    if not call.stream or not terms.timing.hold:
        return math.inf
    return 0.0 if terms.timing.heartbeat_before_commit else terms.timing.hold


def _scope(intercepted: Intercepted) -> str:
    own = intercepted.own
    return scope_of(own.fingerprint if own else None, intercepted.provider.name)


def _asker(flow: http.HTTPFlow, intercepted: Intercepted, call: Call) -> Asker:
    """A client without an explicit conversation is told from others by its address, program and key."""
    own, address = intercepted.own, flow.client_conn.peername[0]
    program = header(call.headers, "user-agent") or ""
    return Asker(call.protocol, f"{address} {program} {own.fingerprint if own else ''}")


async def _close(former: list[Upstream]) -> None:
    for upstream in former:
        await upstream.close()
