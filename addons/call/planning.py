"""What a call asks, and its plan: the targets that the config in force has for it, in the order in which they
are asked."""

import math
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from msgspec import Struct

from addons.call.fields import FieldCache
from addons.call.recognition import Intercepted
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.responses.kept import Turn
from addons.secrets.redaction import LONGEST_NAME
from protocols.model.call import Call, Operation, Reply
from protocols.model.errors import Fault, MalformedRequest, Untranslatable
from protocols.model.http import Origin, WireRequest, header
from protocols.model.wirejson import dump
from protocols.registry import Registry
from protocols.shared.signatures import MARK
from rewrite.catalog.clients import ClientFacts, facts_for
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Carrier, ModelFacts
from rewrite.catalog.routes import Route, RouteUse, Rule, candidates
from rewrite.credentials.evidence import stated_conversation
from rewrite.fields.call_fields import CallFields, fitting
from rewrite.fields.rule import Rule as FieldRule
from rewrite.hooks.calling import HookFailed
from rewrite.records.passes import CallTrace, TargetTrace
from rewrite.targets.target import Target, target_of
from rewrite.targets.wanted import Terms, Wanted
from rewrite.values.timeouts import (
    Deadlines,
    OnTruncation,
    Timeouts,
    Timing,
    limits_for,
    timeouts_for,
    timing,
)

ID_PREFIX = "rot"
"""How the ids begin under which translated answers go to clients."""

_MARK = b'"' + MARK.encode()
"""A text that is an envelope begins with it."""

_CUT_TEXT = {
    "length": OnTruncation.REPAIR,
    "error": OnTruncation.ERROR,
    "continue": OnTruncation.CONTINUE,
}


class Plan(Struct, frozen=True):
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


class Question(Struct, frozen=True):
    """What is the same at all targets of a call."""

    turn: Turn
    """The call with the turns that it continues."""
    rule: Rule
    """The route of the config that fits it."""
    intercepted: Intercepted
    """Whose call it is, and the provider that the client called."""
    asker: Asker
    """The client."""
    reply: Reply
    """What the answer is called where it is translated."""
    enveloped: bool
    """Whether the body holds signatures of other providers, in envelopes."""
    epoch: float
    """Wall-clock seconds at second 0 of the machine's clock."""
    trace: CallTrace | None
    """None: the call is not traced."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """The rules of the field cache for calls of one model in one protocol."""

    rules: tuple[FieldRule, ...]
    """All of them."""
    without_session: tuple[FieldRule, ...]
    """Those for calls that state no conversation."""


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
        self._rules = _remembering(self._rules_of)

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
        call_id = os.urandom(4).hex()
        try:
            call = protocol.parse(call_id, operation, wire)
        except (MalformedRequest, RecursionError):
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        facts = self._client(program)
        named = header(wire.headers, facts.session_header) if facts.session_header else None
        said = named or call.session or session or None
        return call if said == call.session else replace(call, session=said), facts

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
        epoch = time.time() - now
        question = Question(turn, rule, intercepted, asker, _reply(rule, turn), enveloped, epoch, trace)
        targets: list[Target] = []
        skipped: dict[str, str] = {}
        failed = ""
        for route in routes:
            try:
                wanted = self._wanted(question, route, len(targets))
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

    def _wanted(self, question: Question, route: Route, index: int) -> Wanted:
        """What the rule and the config ask for at `route`. Raises Untranslatable where it cannot be asked."""
        name, rule, trace = route.provider.name, question.rule, question.trace
        pooled = self._pooled(route, question.intercepted)
        model = self._model(name, route.model)
        return Wanted(
            route,
            self._protocols[route.protocol],
            _origin(route, question.intercepted),
            self._terms(question, route, pooled=pooled),
            (*route.provider.adapters, *(model.adapters or ()), *rule.adapters),
            question.reply,
            model,
            index=index,
            enveloped=question.enveloped,
            rewritten=question.turn.changed,
            hold_tool_calls=self._holds(rule),
            force_stream=rule.force_stream,
            trace=None if trace is None else TargetTrace(trace),
            hooks=self._configured[name].hooks,
            fields=self._fields_of(question, route) if route.provider.field_cache else None,
        )

    def _terms(self, question: Question, route: Route, *, pooled: bool) -> Terms:
        settings, rule, facts = self._settings, question.rule, question.asker.facts
        call = question.turn.call
        return Terms(
            timing=self._timing(call, route, facts),
            limits=limits_for(settings.limits, call),
            on_truncation=rule.on_truncation or settings.on_truncation,
            discards_cut_calls=facts.cut_tool_call == "length",
            cut_text=_CUT_TEXT[facts.cut_text],
            continuations=settings.continuations,
            pooled=pooled,
            next_on_auth=rule.next_on_auth,
            jitter=random.random(),  # spreads retries; nothing secret
            epoch=question.epoch,
        )

    def _timing(self, call: Call, route: Route, facts: ClientFacts) -> Timing:
        name, model = route.provider.name, route.model
        return timing(
            self._timeouts(name, model, call.effort),
            call,
            reasons=self._model(name, model).reasoning,
            lifecycle=self._protocols[route.protocol].opens_with_lifecycle,
            known_patience=facts.patience,
        )

    def _fields_of(self, question: Question, route: Route) -> CallFields | None:
        """The field cache of the call at `route`. None: no rule is for it; only generations have any."""
        call, known = question.turn.call, self._rules(route.provider.name, route.protocol, route.model)
        if not known.rules or call.operation is not Operation.GENERATE or call.background or not call.body:
            return None
        session = None
        if known.rules != known.without_session:
            asker, own = question.asker, question.intercepted.own
            key = own.fingerprint if own else ""
            session = stated_conversation(call, asker.facts, asker.client, key)
        rules = known.rules if session else known.without_session
        return self._fields.of(call, route, rules, session) if rules else None

    def _rules_of(self, provider: str, protocol: str, model: str | None) -> Fitting:
        rules = fitting(self._providers[provider].field_cache, protocol, model or "")
        return Fitting(rules, tuple(rule for rule in rules if rule.joins_alone))

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
    return Reply(ID_PREFIX + os.urandom(12).hex(), model, int(time.time()), turn.previous)


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
