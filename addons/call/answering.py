"""A recognised flow becomes a call: what it asks, the targets that the config in force has for it, and a
driver with all that it needs."""

import asyncio
import math
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.call.checking import Checker
from addons.call.driver import Driver
from addons.call.fields import FieldCache
from addons.call.flow_traces import FlowTraces
from addons.call.passing import ErrorResponse, Passing
from addons.call.recognition import Intercepted
from addons.call.reports import Reports
from addons.call.request import account_lease, signed, unchanged
from addons.call.traced import TracedDriver
from addons.call.tracing import note_parsed, note_routing, note_sent
from addons.call.work import Work
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.pool import Pool
from addons.mitm.messages import request_of, response_of
from addons.records.journal import Journal, Record
from addons.records.trace import Traces
from addons.responses.kept import Missing, Responses, Turn, unknown_elsewhere
from addons.responses.storage import Memory, Storage
from addons.runtime.clock import Clock
from addons.secrets.redaction import LONGEST_NAME, Blackout
from addons.upstream.client import Upstream
from protocols.model.call import Call, Reply
from protocols.model.errors import Fault, MalformedRequest, Untranslatable
from protocols.model.http import Head, Origin, WireRequest, header
from protocols.model.wirejson import dump
from protocols.registry import Registry
from protocols.shared.signatures import MARK
from rewrite.catalog.clients import ClientFacts, facts_for
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Carrier, ModelFacts
from rewrite.catalog.routes import Route, RouteUse, Rule, candidates, rule_for
from rewrite.credentials.notices import Notice
from rewrite.exchange.exchange import Exchange
from rewrite.exchange.traced import TracedExchange
from rewrite.hooks.calling import HookFailed
from rewrite.records.passes import CallTrace, TargetTrace
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.responses.store import scope_of
from rewrite.targets.target import Target, Terms, Wanted, target_of
from rewrite.values.timeouts import Deadlines, OnTruncation, Timeouts, limits_for, timeouts_for, timing

ID_PREFIX = "rot"
"""How the ids begin under which translated answers go to clients."""

_MARK = b'"' + MARK.encode()
"""A text that is an envelope begins with it."""

_CUT_TEXT = {
    "length": OnTruncation.REPAIR,
    "error": OnTruncation.ERROR,
    "continue": OnTruncation.CONTINUE,
}


class Answering:
    """Makes drivers under the current settings; a driver keeps those it was made under."""

    def __init__(
        self,
        registry: Registry,
        pool: Pool,
        journal: Journal,
        traces: Traces,
        fields: FieldCache,
    ) -> None:
        self._registry, self._pool, self._journal, self.traces = registry, pool, journal, traces
        self.fields = fields
        self.responses = Responses(Storage(Memory(), time.time), time.time)
        self._reports = Reports(journal, pool, self.responses)
        self._settings: Settings | None = None
        self._planner: Planner | None = None
        self._upstream: Upstream | None = None
        self._former: list[Upstream] = []
        self._clock = Clock()
        self.flow_traces = FlowTraces(traces, pool, self._clock)
        self.checker = Checker(pool, journal.notice, journal.failed)
        self._drivers: WeakKeyDictionary[http.HTTPFlow, Driver] = WeakKeyDictionary()
        self.buffering: WeakKeyDictionary[http.HTTPFlow, tuple[bool, float]] = WeakKeyDictionary()
        """Whether the route of a call wants its answer whole before the client gets it, and for how many
        seconds it may be kept."""

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Connections that are not used any more are closed after the last call that may use them."""
        if self._upstream not in (None, upstream):
            self._former.append(self._upstream)
        self._settings, self._upstream = settings, upstream
        self.fields.configure(settings.providers)
        self._planner = Planner(settings, self._registry, self.fields)
        self.checker.configure(settings, upstream)

    async def close(self) -> None:
        """The proxy ends: calls that are open leave their record."""
        for driver in list(self._drivers.values()):
            driver.stop("the proxy was stopped")
        await _close([*self._former, *filter(None, [self._upstream])])

    def begin(
        self, flow: http.HTTPFlow, intercepted: Intercepted, session: str = "", body: bytes | None = None
    ) -> Driver | ErrorResponse | Passing:
        """What answers a recognised call, ready to run. `session` names its conversation if it does not;
        `body`: that of a compressed request, decoded."""
        made = self._begun(flow, intercepted, session, body)
        if type(made) is not Driver:  # else the driver knows its flow
            self.flow_traces.taken(flow)
        return made

    def _begun(
        self, flow: http.HTTPFlow, intercepted: Intercepted, session: str, body: bytes | None
    ) -> Driver | ErrorResponse | Passing:
        assert intercepted.protocol is not None
        assert self._planner is not None
        request = request_of(flow.request)
        program = header(request.headers, "user-agent")
        call, facts = self._planner.call(request, intercepted, session, body, program)
        now = self._clock()
        rule = self._planner.rule(call, intercepted)
        trace = None
        if rule.trace or self.traces.is_on:
            trace = self.flow_traces.call(flow, call, facts, rule, intercepted, request)
        turn = self._turn(call, intercepted)
        if isinstance(turn, Missing):
            record = Record(flow, call, intercepted.provider.name, (), trace=trace)
            return self._error_response(record, intercepted, turn)
        if trace is not None:
            note_parsed(trace, turn.call, expanded=turn.changed)
        asker = _asker(flow, intercepted, turn.call, facts, program)
        plan = self._planner.plan(turn, rule, intercepted, request, asker, now, trace)
        if trace is not None:
            note_routing(trace, rule, plan.targets, plan.skipped)
        for text in plan.unused:
            self._journal.notice(Notice(text, warning=True))
        name = intercepted.provider.name
        record = Record(flow, turn.call, name, plan.targets, plan.skipped, rule, trace)
        if not plan.targets:
            missing = Missing(intercepted.protocol.error(plan.fault), plan.fault)
            return self._error_response(record, intercepted, unknown_elsewhere(call, plan.skipped) or missing)
        if call.background and plan.targets[0].rendered is None:
            return self._passing(flow, intercepted, request, plan.targets[0], trace)
        self.buffering[flow] = not plan.rule.stream, plan.may_be_kept(turn.call)
        return self._driver(record, intercepted, turn, request, asker, now)

    def _turn(self, call: Call, intercepted: Intercepted) -> Turn | Missing:
        """A call with the turns that it continues, as only the Responses API has them."""
        if call.protocol != RESPONSES:
            return Turn(call, "", call.body)
        return self.responses.turn(call, _scope(intercepted))

    def _error_response(self, record: Record, intercepted: Intercepted, missing: Missing) -> ErrorResponse:
        return ErrorResponse(missing.answer, missing.fault, record, intercepted.own, self._reports)

    def _passing(
        self,
        flow: http.HTTPFlow,
        intercepted: Intercepted,
        sent: WireRequest,
        target: Target,
        trace: CallTrace | None,
    ) -> Passing:
        """An answer that is made later belongs to an account, like a file or a batch."""
        assert self._settings is not None
        assert self._upstream is not None
        lease = account_lease(self._pool, intercepted)
        record = {"provider": intercepted.provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(flow, record)
        request = signed(unchanged(sent, intercepted.origin, intercepted, lease), target, lease)
        if trace is not None:
            note_sent(trace, request, sent)
        blackout = Blackout([lease.secret] if lease.pooled else ())

        def heard(head: Head) -> None:
            if lease.pooled:
                self._pool.passed(intercepted.provider.name, lease, head.status, head.headers, {})

        return Passing(self._upstream, request, self._settings.timeouts.connect, blackout, heard, trace)

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
        trace, asked = record.trace, (record.call, intercepted.protocol, record.targets, now)
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
        )
        driver = self._drivers[record.flow] = TracedDriver(work, trace) if trace else Driver(work)
        return driver

    def kept(self, flow: http.HTTPFlow, intercepted: Intercepted) -> http.Response | None:
        """The answer to a request about a response that we keep; None: it is about something else."""
        request = flow.request
        answer = self.responses.answer(request.method, request.path, _scope(intercepted))
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


# -- its plan ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What became of a call."""

    rule: Rule
    """The route of the config that fits it."""
    targets: Sequence[Target]
    """In the order in which they are asked."""
    skipped: Mapping[str, str]
    """By target, why it cannot be asked."""
    unused: Sequence[str] = ()
    """A line for each route of the config that should have fitted a call by now."""
    failed: str = ""
    """What became of code of a provider's own. Empty: none failed."""

    def may_be_kept(self, call: Call) -> float:
        """For how many seconds the answer may be kept from the client of `call`: a stream so long as that
        waits for a head, and not at all where it was promised life before."""
        timing = self.targets[0].terms.timing
        if not (call.stream and timing.hold):
            return math.inf
        return 0.0 if timing.heartbeat_before_commit else timing.hold

    @property
    def fault(self) -> Fault:
        """The error where no target is left: its request asks for what none of them can do, or code of a
        provider's own failed."""
        if self.failed:
            return Fault(502, "proxy_fault", self.failed, should_retry=False)
        reasons = "; ".join(f"{label}: {why}" for label, why in self.skipped.items())
        return Fault(
            400, "invalid_request", f"no target of the route can be asked: {reasons}", should_retry=False
        )


class Planner:
    """Plans calls under one set of settings."""

    def __init__(self, settings: Settings, registry: Registry, fields: FieldCache) -> None:
        self._settings, self._fields = settings, fields
        self._configured = {one.provider.name: one for one in settings.providers}
        self._providers = {name: one.provider for name, one in self._configured.items()}
        self._serving_all = frozenset(name for name, one in self._configured.items() if one.serves(""))
        spoken = {name for provider in self._providers.values() for name in provider.protocols}
        self._protocols = {name: registry[name] for name in spoken if name in registry}
        self._use = RouteUse(settings.rules)
        self._client = lru_cache(partial(facts_for, settings.clients))
        self._model = _remembering(self._facts_of)
        self._timeouts = _remembering(self._timeouts_of)

    def call(
        self,
        request: WireRequest,
        intercepted: Intercepted,
        session: str,
        body: bytes | None,
        program: str | None,
    ) -> tuple[Call, ClientFacts]:
        """What a request of `program` asks, and what is known of that. `session` names its conversation if it
        does not; `body`: in place of its own where that is compressed. One that is not of the protocol still
        goes to the provider: its 400 comes back."""
        protocol, operation = intercepted.protocol, intercepted.operation
        assert protocol is not None
        assert operation is not None
        wire = request if body is None or body is request.body else replace(request, body=body)
        call_id = secrets.token_hex(4)
        try:
            call = protocol.parse(call_id, operation, wire)
        except (MalformedRequest, RecursionError):
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        facts = self._client(program)
        named = header(wire.headers, facts.session_header) if facts.session_header else None
        said = named or call.session or session or None
        return call if said == call.session else replace(call, session=said), facts

    def rule(self, call: Call, intercepted: Intercepted) -> Rule:
        """The route of the config that fits `call`."""
        return rule_for(self._settings.rules, call, intercepted.provider)

    def plan(
        self,
        turn: Turn,
        rule: Rule,
        intercepted: Intercepted,
        request: WireRequest,
        asker: Asker,
        now: float,
        trace: CallTrace | None = None,
    ) -> Plan:
        """The targets of the call of `turn`, which `asker` makes and `rule` fits. Its original provider is
        that of `intercepted`; `now` on the machine's clock."""
        assert intercepted.protocol is not None
        call = turn.call
        # From the end it is looked for in a third of the time.
        enveloped = (dump(call.body) if turn.changed else request.body).rfind(_MARK) >= 0
        routes = candidates(rule, call, intercepted.provider, self._providers, self._model)
        unused = [*self._use.note(rule, call.model)]
        reply = _reply(rule, turn)
        targets: list[Target] = []
        skipped: dict[str, str] = {}
        failed = ""
        for route in routes:
            try:
                pooled = self._pooled(route, intercepted)
                terms = self._terms(route, rule, call, asker.facts, pooled=pooled, epoch=time.time() - now)
                wanted = self._wanted(route, rule, _origin(route, intercepted), terms, reply)
                rules, own = route.provider.field_cache, intercepted.own
                fields = self._fields.of(call, route, asker, own) if rules else None
                wanted = replace(
                    wanted, index=len(targets), enveloped=enveloped, rewritten=turn.changed, fields=fields
                )
                if trace is not None:
                    wanted = replace(wanted, trace=TargetTrace(trace))
                targets.append(target_of(call, intercepted.protocol, wanted))
            except Untranslatable as reason:
                skipped[route.label] = str(reason)
            except HookFailed as reason:
                skipped[route.label] = failed = str(reason)
            except RecursionError:
                skipped[route.label] = "the request is nested deeper than can be translated"
        return Plan(rule, _continuable(targets), skipped, unused, failed)

    def _pooled(self, route: Route, intercepted: Intercepted) -> bool:
        """Whether a credential of the pool is used. Raises Untranslatable where there is none to use."""
        if route.original:
            return intercepted.pooled
        pool = self._configured[route.provider.name]
        serves = route.provider.name in self._serving_all or pool.serves(intercepted.client)
        pooled = serves and not intercepted.page
        if not (pooled or route.provider.auth is Carrier.NONE):
            why = "a web page does not use them" if serves else _no_key(pool)
            raise Untranslatable(f"providers.{route.provider.name}.credentials", why)
        return pooled

    def _wanted(self, route: Route, rule: Rule, origin: Origin, terms: Terms, reply: Reply) -> Wanted:
        """What `rule` and the config ask for at `route`."""
        configured = self._configured[route.provider.name]
        model = self._model(route.provider.name, route.model)
        adapters = (*route.provider.adapters, *(model.adapters or ()), *rule.adapters)
        return Wanted(
            route,
            self._protocols[route.protocol],
            origin,
            terms,
            adapters,
            reply,
            model,
            hold_tool_calls=self._holds(rule),
            force_stream=rule.force_stream,
            hooks=configured.hooks,
        )

    def _terms(
        self, route: Route, rule: Rule, call: Call, facts: ClientFacts, *, pooled: bool, epoch: float
    ) -> Terms:
        settings, name, model = self._settings, route.provider.name, route.model
        return Terms(
            timing=timing(
                self._timeouts(name, model, call.effort),
                call,
                reasons=self._model(name, model).reasoning,
                lifecycle=self._protocols[route.protocol].opens_with_lifecycle,
                known_patience=facts.patience,
            ),
            limits=limits_for(settings.limits, call),
            on_truncation=rule.on_truncation or settings.on_truncation,
            discards_cut_calls=facts.cut_tool_call == "length",
            cut_text=_CUT_TEXT[facts.cut_text],
            continuations=settings.continuations,
            pooled=pooled,
            next_on_auth=rule.next_on_auth,
            jitter=random.random(),  # spreads retries; nothing secret
            epoch=epoch,
        )

    def _facts_of(self, provider: str, model: str | None) -> ModelFacts:
        return facts_of(self._providers[provider], model)

    def _timeouts_of(self, provider: str, model: str | None, effort: str) -> Timeouts:
        """The user's deadlines, over what is known of the model, over the user's timeouts of all calls."""
        known = self._model(provider, model).timeouts
        general = Deadlines(seconds=known).over(self._settings.timeouts) if known else self._settings.timeouts
        return timeouts_for(self._settings.deadlines, general, provider, model, effort)

    def _holds(self, rule: Rule) -> bool:
        """A cut inside a tool call can be continued only where the client has seen nothing of the call."""
        if (rule.on_truncation or self._settings.on_truncation) is OnTruncation.CONTINUE:
            return True
        return self._settings.hold_tool_calls if rule.hold_tool_calls is None else rule.hold_tool_calls


def _no_key(pool: Configured) -> str:
    """Why none of its credentials is for a call."""
    return "they are logins of other tools (see any_client)" if pool.credentials else "none are in the config"


def _continuable(targets: Sequence[Target]) -> Sequence[Target]:
    """None of them is asked to continue an answer where one of them cannot be."""
    if all(target.protocol.editor for target in targets):
        return targets
    return [replace(each, terms=replace(each.terms, continuations=0)) for each in targets]


def _reply(rule: Rule, turn: Turn) -> Reply:
    """What the answers to a turn are called where they are translated."""
    model = "" if rule.upstream_model else turn.call.model or ""
    return Reply(ID_PREFIX + secrets.token_hex(12), model, int(time.time()), turn.previous)


def _origin(route: Route, intercepted: Intercepted) -> Origin:
    """Where the provider of a route is. Raises Untranslatable where nothing says so."""
    origin = intercepted.origin if route.original else route.provider.origin
    if origin is None:
        raise Untranslatable(f"providers.{route.provider.name}.base_url", "none is in the config")
    return origin


def _remembering[T](find: Callable[..., T]) -> Callable[..., T]:
    """`find`, of a provider, a model and more, with its last answers at hand; but of no name that is longer
    than any model's: clients may make up some of megabytes."""
    known = lru_cache(find)

    def found(*names: str | None) -> T:
        is_long = max(map(len, filter(None, names))) > LONGEST_NAME
        return (find if is_long else known)(*names)

    return found
