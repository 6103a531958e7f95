"""How a call begins: what the client asks, and the targets that the config in force has for it."""

import math
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from addons.call.recognition import Intercepted
from addons.config.settings import Settings
from addons.responses.kept import Turn
from addons.secrets.redaction import LONGEST_NAME
from protocols.model.call import Call, Reply
from protocols.model.errors import Fault, MalformedRequest, Untranslatable
from protocols.model.http import Origin, WireRequest, header
from protocols.model.wirejson import dump
from protocols.registry import Registry
from protocols.shared.signatures import MARK
from rewrite.catalog.clients import ClientFacts, facts_for
from rewrite.catalog.providers import Carrier, ModelFacts, facts_of
from rewrite.catalog.routes import Route, Rule, candidates, rule_for
from rewrite.targets.target import Target, Terms, Wanted, target_of
from rewrite.values.timeouts import OnTruncation, limits_for, timeouts_for, timing

ID_PREFIX = "rot"
"""How the ids begin under which translated answers go to clients."""

_MARK = b'"' + MARK.encode()
"""A text that is an envelope begins with it."""

_CUT_TEXT = {
    "length": OnTruncation.REPAIR,
    "error": OnTruncation.ERROR,
    "continue": OnTruncation.CONTINUE,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What became of a call."""

    rule: Rule
    """The route of the config that fits it."""
    targets: Sequence[Target]
    """In the order in which they are asked."""
    skipped: Mapping[str, str]
    """By target, why it cannot be asked."""

    def may_be_kept(self, call: Call) -> float:
        """For how many seconds the answer may be kept from the client of `call`: a stream so long as that
        waits for a head, and not at all where it was promised life before."""
        timing = self.targets[0].terms.timing
        if not (call.stream and timing.hold):
            return math.inf
        return 0.0 if timing.heartbeat_before_commit else timing.hold

    @property
    def fault(self) -> Fault:
        """The error where no target is left: its request asks for what none of them can do."""
        reasons = "; ".join(f"{label}: {why}" for label, why in self.skipped.items())
        return Fault(
            400, "invalid_request", f"no target of the route can be asked: {reasons}", should_retry=False
        )


class Planner:
    """Plans calls under one set of settings."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self._settings = settings
        self._configured = {one.provider.name: one for one in settings.providers}
        self._providers = {name: one.provider for name, one in self._configured.items()}
        spoken = {name for provider in self._providers.values() for name in provider.protocols}
        self._protocols = {name: registry[name] for name in spoken if name in registry}
        self._client = lru_cache(partial(facts_for, settings.clients))
        self._model = _remembering(self._facts_of)
        self._timeouts = _remembering(partial(timeouts_for, settings.deadlines, settings.timeouts))

    def call(
        self, request: WireRequest, intercepted: Intercepted, session: str, body: bytes | None
    ) -> tuple[Call, ClientFacts]:
        """What a request asks, and what is known of its client. `session` names its conversation if it does
        not; `body`: in place of its own where that is compressed. One that is not of the protocol still goes
        to the provider: its 400 comes back."""
        protocol, operation = intercepted.protocol, intercepted.operation
        assert protocol is not None
        assert operation is not None
        wire = request if body is None else replace(request, body=body)
        call_id = secrets.token_hex(4)
        try:
            call = protocol.parse(call_id, operation, wire)
        except (MalformedRequest, RecursionError):
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        facts = self._client(header(wire.headers, "user-agent"))
        named = header(wire.headers, facts.session_header) if facts.session_header else None
        said = named or call.session or session or None
        return call if said == call.session else replace(call, session=said), facts

    def plan(
        self, turn: Turn, intercepted: Intercepted, request: WireRequest, facts: ClientFacts, now: float
    ) -> Plan:
        """The targets of the call of `turn`, whose original provider is that of `intercepted`; `now` on the
        machine's clock."""
        assert intercepted.protocol is not None
        call = turn.call
        rule = rule_for(self._settings.rules, call, intercepted.provider)
        enveloped = _MARK in (dump(call.body) if turn.changed else request.body)
        reply = _reply(rule, turn)
        targets: list[Target] = []
        skipped: dict[str, str] = {}
        for route in candidates(rule, call, intercepted.provider, self._providers):
            try:
                pooled = self._pooled(route, intercepted)
                terms = self._terms(route, rule, call, facts, pooled=pooled, epoch=time.time() - now)
                wanted = self._wanted(route, rule, _origin(route, intercepted), terms, reply)
                wanted = replace(wanted, index=len(targets), enveloped=enveloped, rewritten=turn.changed)
                targets.append(target_of(call, intercepted.protocol, wanted))
            except Untranslatable as reason:
                skipped[route.label] = str(reason)
            except RecursionError:
                skipped[route.label] = "the request is nested deeper than can be translated"
        return Plan(rule, _continuable(targets), skipped)

    def _pooled(self, route: Route, intercepted: Intercepted) -> bool:
        """Whether a credential of the pool is used. Raises Untranslatable where there is none to use."""
        if route.original:
            return intercepted.pooled
        credentials = self._configured[route.provider.name].credentials
        pooled = bool(credentials) and not intercepted.page
        if not (pooled or route.provider.auth is Carrier.NONE):
            why = "a web page does not use them" if credentials else "none are in the config"
            raise Untranslatable(f"providers.{route.provider.name}.credentials", why)
        return pooled

    def _wanted(self, route: Route, rule: Rule, origin: Origin, terms: Terms, reply: Reply) -> Wanted:
        """What `rule` and the config ask for at `route`."""
        adapters = (*self._configured[route.provider.name].adapters, *rule.adapters)
        return Wanted(
            route,
            self._protocols[route.protocol],
            origin,
            terms,
            adapters,
            reply,
            self._model(route.provider.name, route.model),
            hold_tool_calls=self._holds(rule),
            force_stream=rule.force_stream,
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

    def _holds(self, rule: Rule) -> bool:
        """A cut inside a tool call can be continued only where the client has seen nothing of the call."""
        if (rule.on_truncation or self._settings.on_truncation) is OnTruncation.CONTINUE:
            return True
        return self._settings.hold_tool_calls if rule.hold_tool_calls is None else rule.hold_tool_calls


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
