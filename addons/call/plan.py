"""How a call begins: what the client asks, and the targets that the config in force has for it."""

import math
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from mitmproxy import http

from addons.call.recognition import Intercepted
from addons.config.settings import Settings
from addons.mitm.messages import headers_of
from addons.responses.kept import Turn
from protocols.base import WireProtocol
from protocols.model.call import Call, Reply
from protocols.model.errors import Fault, MalformedRequest, Untranslatable
from protocols.model.http import WireRequest, header
from protocols.model.origin import Origin
from protocols.model.wirejson import dump
from protocols.registry import Registry
from protocols.shared.signatures import MARK
from rewrite.catalog.clients import ClientFacts, facts_for
from rewrite.catalog.providers import Carrier, reasons
from rewrite.catalog.routes import Route, Rule, candidates, rule_for
from rewrite.target.making import Wanted, target_of
from rewrite.target.target import Target, Terms
from rewrite.values.timeouts import OnTruncation, limits_for, timeouts_for, timing

ID_PREFIX = "rot"
"""How the ids begin under which translated answers go to clients."""

_MARK = MARK.encode()
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
        self._settings, self._registry = settings, registry
        self._configured = {one.provider.name: one for one in settings.providers}
        self._providers = {name: one.provider for name, one in self._configured.items()}
        self._facts_of = lru_cache(partial(facts_for, settings.clients))

    def call(
        self, request: http.Request, intercepted: Intercepted, session: str, body: bytes | None
    ) -> tuple[Call, ClientFacts]:
        """What a request asks, and what is known of its client. `session` names its conversation if it does
        not; `body`: in place of its own where that is compressed. One that is not of the protocol still goes
        to the provider: its 400 comes back."""
        protocol, operation = intercepted.protocol, intercepted.operation
        assert protocol is not None
        assert operation is not None
        said = request.raw_content or b"" if body is None else body
        wire = WireRequest(request.method, request.path, headers_of(request), said)
        call_id = secrets.token_hex(4)
        try:
            call = protocol.parse(call_id, operation, wire)
        except MalformedRequest:
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        facts = self._facts_of(header(wire.headers, "user-agent"))
        named = header(wire.headers, facts.session_header) if facts.session_header else None
        return replace(call, session=named or call.session or session or None), facts

    def plan(
        self, turn: Turn, intercepted: Intercepted, request: http.Request, facts: ClientFacts, now: float
    ) -> Plan:
        """The targets of the call of `turn`, whose original provider is that of `intercepted`; `now` on the
        machine's clock."""
        assert intercepted.protocol is not None
        call = turn.call
        rule = rule_for(self._settings.rules, call, intercepted.provider)
        routes = candidates(rule, call, intercepted.provider, self._providers)
        enveloped = _MARK in (dump(call.body) if turn.changed else request.raw_content or b"")
        name = ID_PREFIX + secrets.token_hex(12)
        reply = Reply(name, call.model or "", int(time.time()), turn.previous)
        targets: list[Target] = []
        skipped: dict[str, str] = {}
        for route in routes:
            asked = _Asked(turn, intercepted, rule, route, reply, enveloped, len(targets), facts, now)
            try:
                targets.append(self._target(asked, intercepted.protocol))
            except Untranslatable as reason:
                skipped[route.label] = str(reason)
            except RecursionError:
                skipped[route.label] = "the request is nested deeper than can be translated"
        return Plan(rule, _continuable(targets), skipped)

    def _target(self, asked: "_Asked", protocol: WireProtocol) -> Target:
        route, configured = asked.route, self._configured[asked.route.provider.name]
        others = bool(configured.credentials) and not asked.intercepted.page
        pooled = asked.intercepted.pooled if route.original else others
        if not (route.original or pooled or route.provider.auth is Carrier.NONE):
            why = "a web page does not use them" if configured.credentials else "none are in the config"
            raise Untranslatable(f"providers.{route.provider.name}.credentials", why)
        adapters = (*configured.adapters, *asked.rule.adapters)
        model = "" if asked.rule.upstream_model else asked.reply.model
        reply = replace(asked.reply, model=model)
        wanted = Wanted(
            route,
            _origin(asked),
            self._terms(asked, pooled=pooled),
            adapters,
            reply,
            asked.index,
            enveloped=asked.enveloped,
            rewritten=asked.turn.changed,
            hold_tool_calls=self._holds(asked.rule),
            force_stream=asked.rule.force_stream,
        )
        return target_of(asked.turn.call, protocol, wanted, self._registry)

    def _terms(self, asked: "_Asked", *, pooled: bool) -> Terms:
        settings, call, route, rule = self._settings, asked.turn.call, asked.route, asked.rule
        name, model = route.provider.name, route.model
        facts = asked.facts
        return Terms(
            timing=timing(
                timeouts_for(settings.deadlines, settings.timeouts, name, model, call.effort),
                call,
                reasons=reasons(route.provider, model),
                lifecycle=self._registry[route.protocol].opens_with_lifecycle,
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
            epoch=time.time() - asked.now,
        )

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


def _origin(asked: "_Asked") -> Origin:
    origin = asked.intercepted.origin if asked.route.original else asked.route.provider.origin
    if origin is None:
        raise Untranslatable(f"providers.{asked.route.provider.name}.base_url", "none is in the config")
    return origin


@dataclass(frozen=True, slots=True)
class _Asked:
    turn: Turn
    intercepted: Intercepted
    rule: Rule
    route: Route
    reply: Reply
    enveloped: bool
    index: int
    facts: ClientFacts
    now: float
