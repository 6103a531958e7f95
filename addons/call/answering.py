"""A recognised flow becomes a call, and its plan a driver with all that it needs."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from functools import partial
from weakref import WeakKeyDictionary

from mitmproxy import http
from msgspec import Struct

from addons.call.checking import Checker
from addons.call.driver import Driver
from addons.call.fields import FieldCache
from addons.call.flow_traces import FlowTraces
from addons.call.live import LiveCall
from addons.call.passing import ErrorResponse, Fetching, Passing
from addons.call.planning import Plan, Planner
from addons.call.recognition import Intercepted
from addons.call.report_headers import reported
from addons.call.reports import Reports
from addons.call.request import account_lease, signed, unchanged
from addons.call.silences import Silences
from addons.call.traced import TracedDriver
from addons.call.tracing import note_parsed, note_routing, note_sent
from addons.call.work import Work
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.pool import Pool
from addons.mitm.messages import request_of, response_of
from addons.records.journal import Journal
from addons.records.record import Record
from addons.records.trace import Traces
from addons.responses.kept import Missing, Responses, Turn, unknown_elsewhere
from addons.responses.storage import Memory, Storage
from addons.runtime.clock import Clock
from addons.secrets.redaction import Blackout
from addons.store.connection import Connection
from addons.team.users import Users
from addons.upstream.client import Upstream
from addons.views.attempts import Attempts
from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse, header
from protocols.registry import Registry
from rewrite.catalog.clients import ClientFacts
from rewrite.catalog.routes import Rule, rule_for
from rewrite.credentials.notices import Notice
from rewrite.exchange.exchange import Exchange
from rewrite.exchange.traced import TracedExchange
from rewrite.records.passes import CallTrace
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.responses.store import scope_of


class _Recognised(Struct, frozen=True):
    """A call as it came."""

    flow: http.HTTPFlow
    intercepted: Intercepted
    """Whose call it is, and the provider that the client called."""
    request: WireRequest
    """As the client sent it."""
    call: Call
    facts: ClientFacts
    """What is known of its client."""
    program: str | None
    """Its client's name for itself."""
    rule: Rule
    """The route that fits it."""
    trace: CallTrace | None
    now: float
    """When it came, on the machine's clock."""


class Answering:
    """Makes drivers under the current settings; a driver keeps those it was made under."""

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        journal: Journal,
        traces: Traces,
        fields: FieldCache,
        attempts: Attempts,
        users: Users,
    ) -> None:
        self._attempts, self.users = attempts, users
        self._registry, self._pool, self._journal, self.traces = registry, pool, journal, traces
        self.fields = fields
        self.responses = Responses(Storage(Memory(), time.time), time.time)
        self._reports = Reports(journal, pool, self.responses)
        self._settings: Settings | None = None
        self._planner: Planner | None = None
        self._upstream: Upstream | None = None
        self._store: Connection | None = None
        self._former: list[Upstream] = []
        self._clock = Clock()
        self.flow_traces = FlowTraces(traces, pool, self._clock)
        self.checker = Checker(pool, journal.notice, journal.failed)
        self._drivers: WeakKeyDictionary[http.HTTPFlow, Driver] = WeakKeyDictionary()
        self.silences = Silences(self._drivers.values)
        self.buffering: WeakKeyDictionary[http.HTTPFlow, tuple[bool, float]] = WeakKeyDictionary()
        """Whether the route of a call wants its answer whole before the client gets it, and for how many
        seconds it may be kept."""

    def share(self, store: Connection) -> None:
        """Other proxies share `store`."""
        self._store = store
        self.responses.share(store)

    @property
    def is_early(self) -> bool:
        """Whether it is not known yet what other proxies know, nor that nobody can say."""
        if self._store is None or self._settings is None or self._settings.shared is None:
            return False
        return self._store.is_beginning

    async def begun(self) -> None:
        """Wait until it is."""
        if self._store is not None:
            await self._store.begun()

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Connections that are not used any more are closed after the last call that may use them."""
        if self._upstream not in (None, upstream):
            self._former.append(self._upstream)
        self._settings, self._upstream = settings, upstream
        self.fields.configure(settings.providers)
        self._planner = Planner(settings, self._registry, self.fields)
        self.checker.configure(settings, upstream)

    def under_way(self) -> int:
        """How many calls are not over."""
        return sum(not driver.is_over for driver in list(self._drivers.values()))

    def shut_down(self) -> None:
        """The proxy ends: calls that are not over end with an error of their protocol."""
        for driver in list(self._drivers.values()):
            driver.shut_down()

    async def close(self) -> None:
        """The proxy ends: calls that are open leave their record."""
        for driver in list(self._drivers.values()):
            driver.stop("the proxy was stopped")
        await _close([*self._former, *filter(None, [self._upstream])])

    def begin(
        self,
        flow: http.HTTPFlow,
        intercepted: Intercepted,
        session: str = "",
        body: bytes | None = None,
        refusal: Fault | None = None,
    ) -> Driver | ErrorResponse | Passing | Fetching:
        """What answers a recognised call, ready to run. `session` names its conversation if it does not;
        `body`: that of a compressed request, decoded; `refusal`: why its user gets none."""
        made = self._begun(flow, intercepted, session, body, refusal)
        if type(made) is not Driver and type(made) is not Fetching:  # else the driver knows its flow
            self.flow_traces.taken(flow)
        return made

    def _begun(
        self,
        flow: http.HTTPFlow,
        intercepted: Intercepted,
        session: str,
        body: bytes | None,
        refusal: Fault | None,
    ) -> Driver | ErrorResponse | Passing | Fetching:
        assert intercepted.protocol is not None
        assert self._planner is not None
        assert self._settings is not None
        request = request_of(flow.request)
        program = header(request.headers, "user-agent")
        call, facts = self._planner.call(request, intercepted, session, body, program)
        now = self._clock()
        rule = rule_for(self._settings.rules, call, intercepted.provider)
        trace = None
        if rule.trace or self.traces.is_on:
            trace = self.flow_traces.call(flow, call, facts, rule, intercepted, request)
        turn = self._turn(call, intercepted) if refusal is None else _refused(intercepted.protocol, refusal)
        recognised = _Recognised(flow, intercepted, request, call, facts, program, rule, trace, now)
        if isinstance(turn, Missing) and turn.sought and self.responses.shared is not None:
            return Fetching(partial(self._fetched, recognised, turn))
        return self._planned(recognised, turn)

    async def _fetched(self, recognised: "_Recognised", missing: Missing) -> Driver | ErrorResponse | Passing:
        """A call continues what is not here, and may be with another proxy."""
        turn = await self.responses.fetched(missing, recognised.call, _scope(recognised.intercepted))
        made = self._planned(recognised, turn)
        if type(made) is not Driver:
            self.flow_traces.taken(recognised.flow)
        return made

    def _planned(self, recognised: "_Recognised", turn: Turn | Missing) -> Driver | ErrorResponse | Passing:
        flow, intercepted, request = recognised.flow, recognised.intercepted, recognised.request
        call, rule, trace, now = recognised.call, recognised.rule, recognised.trace, recognised.now
        assert intercepted.protocol is not None
        assert self._planner is not None
        if isinstance(turn, Missing):
            record = Record(flow, call, intercepted.provider.name, (), trace=trace)
            return self._error_response(record, intercepted, turn)
        if trace is not None:
            note_parsed(trace, turn.call, expanded=turn.changed)
        asker = _asker(flow, intercepted, turn.call, recognised.facts, recognised.program)
        plan = self._planner.plan(turn, rule, intercepted, request, asker, now, trace)
        if trace is not None:
            note_routing(trace, rule, plan.targets, plan.skipped)
        for text in plan.unused:
            self._journal.notice(Notice(text, warning=True))
        name = intercepted.provider.name
        record = Record(flow, turn.call, name, plan.targets, plan.skipped, rule, trace)
        if not plan.targets:
            missing = _without_target(intercepted.protocol, call, plan)
            return self._error_response(record, intercepted, missing)
        if call.background and plan.targets[0].rendered is None:
            return self._passing(record, intercepted, request)
        self.buffering[flow] = not rule.stream, plan.may_be_kept(turn.call)
        return self._driver(record, intercepted, turn, request, asker, now)

    def _turn(self, call: Call, intercepted: Intercepted) -> Turn | Missing:
        """A call with the turns that it continues, as only the Responses API has them."""
        if call.protocol != RESPONSES:
            return Turn(call, "", call.body)
        return self.responses.turn(call, _scope(intercepted))

    def _error_response(self, record: Record, intercepted: Intercepted, missing: Missing) -> ErrorResponse:
        answer = missing.answer
        if self._reports_headers(intercepted):
            head = reported(Head(answer.status, answer.headers), record.call, 0, None)
            answer = replace(answer, headers=head.headers)
        return ErrorResponse(answer, missing.fault, record, intercepted.own, self._reports)

    def _reports_headers(self, intercepted: Intercepted) -> bool:
        """Not to a web page that the config does not know, which could tell from them who its visitor is."""
        assert self._settings is not None
        return self._settings.report_headers and not intercepted.page

    def _passing(self, record: Record, intercepted: Intercepted, sent: WireRequest) -> Passing:
        """An answer that is made later belongs to an account, like a file or a batch."""
        assert self._settings is not None
        assert self._upstream is not None
        lease, trace = account_lease(self._pool, intercepted), record.trace
        begun = {"provider": intercepted.provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(record.flow, begun)
        request = signed(unchanged(sent, intercepted.origin, intercepted, lease), record.targets[0], lease)
        if trace is not None:
            note_sent(trace, request, sent)
        blackout = Blackout([lease.secret] if lease.pooled else ())

        def heard(head: Head) -> None:
            if lease.pooled:
                self._pool.passed(intercepted.provider.name, lease, head.status, head.headers, {})

        report, longest = partial(self._journal.end, record), self._settings.timeouts.connect
        return Passing(self._upstream, request, longest, blackout, heard, report, lease.name, trace)

    def _driver(
        self,
        record: Record,
        intercepted: Intercepted,
        turn: Turn,
        request: WireRequest,
        asker: Asker,
        now: float,
    ) -> Driver:
        assert intercepted.protocol is not None
        assert self._upstream is not None
        looks, trace = self._attempts, record.trace
        asked = (record.call, intercepted.protocol, record.targets, now)
        work = Work(
            record=record,
            turn=turn,
            intercepted=intercepted,
            request=request,
            protocol=intercepted.protocol,
            exchange=TracedExchange(*asked, trace) if trace else Exchange(*asked),
            asker=asker,
            pool=self._pool,
            upstream=self._upstream,
            journal=self._journal,
            reports=self._reports,
            clock=self._clock,
            fields=self.fields,
            reports_headers=self._reports_headers(intercepted),
            watched=looks.watch(record.flow, record.call.id, request) if looks.is_on else None,
        )
        driver = self._drivers[record.flow] = TracedDriver(work, trace) if trace else Driver(work)
        return driver

    def live(self) -> Iterator[LiveCall]:
        """The calls that are not over."""
        for driver in list(self._drivers.values()):
            if call := driver.live():
                yield call

    def elsewhere(
        self, flow: http.HTTPFlow, intercepted: Intercepted
    ) -> Coroutine[None, None, http.Response | None] | None:
        """What `kept` gives once what other proxies keep is here; None: there is nothing to wait for."""
        request, scope = flow.request, _scope(intercepted)
        if not self.responses.lacks(request.method, request.path, scope):
            return None
        return self._fetched_answer(flow, intercepted, scope)

    async def _fetched_answer(
        self, flow: http.HTTPFlow, intercepted: Intercepted, scope: str
    ) -> http.Response | None:
        request = flow.request
        answer = await self.responses.fetched_answer(request.method, request.path, scope)
        return self._kept(flow, intercepted, answer)

    def kept(self, flow: http.HTTPFlow, intercepted: Intercepted) -> http.Response | None:
        """The answer to a request about a response that we keep; None: it is about something else."""
        request = flow.request
        answer = self.responses.answer(request.method, request.path, _scope(intercepted))
        return self._kept(flow, intercepted, answer)

    def _kept(
        self, flow: http.HTTPFlow, intercepted: Intercepted, answer: WireResponse | None
    ) -> http.Response | None:
        if answer is None:
            return None
        self._journal.begin(flow, {"provider": intercepted.provider.name, "kept_response": True})
        return response_of(answer)

    def over(self, flow: http.HTTPFlow, intercepted: Intercepted | None = None) -> None:
        """The flow has ended, which was recognised as `intercepted`. Where the client left or it was killed,
        its record comes before its saving."""
        driver = self._drivers.pop(flow, None)
        if driver is not None and not driver.is_answered:
            driver.client_gone()
        if driver is None:
            self.flow_traces.over(flow, intercepted)
        if self._former and not self._drivers:
            former, self._former = self._former, []
            self._closing = asyncio.get_running_loop().create_task(_close(former))


def _refused(protocol: WireProtocol, refusal: Fault) -> Missing:
    return Missing(protocol.error(refusal), refusal)


def _without_target(protocol: WireProtocol, call: Call, plan: Plan) -> Missing:
    """The answer to `call` where none of its targets can be asked."""
    return unknown_elsewhere(call, plan.skipped) or Missing(protocol.error(plan.fault), plan.fault)


def _scope(intercepted: Intercepted) -> str:
    own = intercepted.own
    return scope_of(own.fingerprint if own else None, intercepted.provider.name)


def _asker(
    flow: http.HTTPFlow, intercepted: Intercepted, call: Call, facts: ClientFacts, program: str | None
) -> Asker:
    """A client without an explicit conversation is distinguished from others by its address, program and
    key."""
    own, connection = intercepted.own, flow.client_conn
    client = f"{connection.peername[0]} {program or ''} {own.fingerprint if own else ''}"
    return Asker(call.protocol, client, connection.id, call, facts)


async def _close(former: list[Upstream]) -> None:
    for upstream in former:
        await upstream.close()
