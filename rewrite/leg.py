"""One target of a call: how the provider is asked, and how its answers are read on the client's behalf."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.base import Call, Head, Operation, Rendered, Reply, Target, WireProtocol
from protocols.registry import Registry
from protocols.whole import WholeDecoder
from protocols.wirejson import JsonObject, object_at
from rewrite.adapters.base import Adapter, Context, Events, Unchanged
from rewrite.chain import Chain
from rewrite.fitting import Loss
from rewrite.modes import Turned, as_asked
from rewrite.providers import facts_of
from rewrite.reading import Reading
from rewrite.routes import Route
from rewrite.translate import (
    TranslatingDecoder,
    TranslatingEncoder,
    Translation,
    WholeTranslator,
    translation,
)

_INNER = ("message", "response")
_MODEL = ("model", "modelVersion")


@dataclass(frozen=True, slots=True)
class Leg:
    """`call` and `protocol` as the provider sees them; `translation` None: they are the client's own.

    `rendered`: path and body that take the place of the client's; None: its own bytes, as they are. `turned`:
    it is asked for the other way than its client asked, within one protocol.
    """

    call: Call
    protocol: WireProtocol
    chain: Chain | None = None
    translation: Translation | None = None
    rendered: Rendered | None = None
    turned: Turned | None = None

    @property
    def losses(self) -> Sequence[Loss]:
        return self.translation.losses if self.translation else ()

    @property
    def untouched(self) -> bool:
        """Whether the client gets what comes as it comes."""
        return self.translation is None and self.turned is None and not self.chain

    def reading(self, head: Head) -> Reading:
        """The answer that begins with `head`, read by adapters first, in the client's protocol last."""
        own = self.protocol.decoder(self.call, head)
        streamed = not isinstance(own, WholeDecoder)
        adapted = self.chain.decoder(own, head, self.call) if self.chain else own
        if self.turned is not None:
            return self.turned.reading(head, adapted, streamed=streamed)
        encoder = self.protocol.encoder(self.call)
        if self.translation is None:
            return Reading(head, adapted, encoder, streamed)
        decoder = self.translation.decoder(adapted)
        if isinstance(decoder, TranslatingDecoder):
            encoder = TranslatingEncoder(decoder, self.translation.client_encoder())
        told = self.translation.head(head)
        if streamed and self.call.stream and isinstance(decoder, WholeTranslator):
            return Reading(told, decoder, encoder, False, self.translation, decoder)
        return Reading(told, decoder, encoder, streamed, self.translation)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a call is to go: besides its route, what its rule and its client ask for.

    `adapters` in order; `reply`: what the answer is called where it is translated, its model empty for the
    one that served; `sealed`: the body holds what providers of other protocols sealed; `rewritten`: it is
    not what the client's bytes say; `force_stream`: it is streamed upstream, whatever the client asked for.
    """

    route: Route
    adapters: Sequence[Adapter]
    reply: Reply
    sealed: bool = False
    rewritten: bool = False
    force_stream: bool = False


def leg_of(call: Call, protocol: WireProtocol, wanted: Wanted, registry: Registry) -> Leg:
    """The leg of `call` of a client of `protocol` on one route. Raises Untranslatable."""
    target = registry[wanted.route.protocol]
    streams = wanted.route.provider.streams
    asked = as_asked(call, protocol, force_stream=wanted.force_stream, streams=streams)
    if target.name != protocol.name:
        return _translated(asked, protocol, target, wanted, call)
    if asked is call:
        return _within(call, protocol, wanted)
    leg = _within(asked, protocol, replace(wanted, rewritten=True))
    return replace(leg, turned=Turned(call, protocol, wanted.reply))


def _within(call: Call, protocol: WireProtocol, wanted: Wanted) -> Leg:
    route, model = wanted.route, wanted.route.model
    chain = _chain(call, wanted)
    asked = replace(call, model=model)
    body = protocol.unsealed(call.body) if wanted.sealed else call.body
    changed = chain.request(body) if chain else body
    if route.meant and model == call.model:
        untouched = changed is call.body and not wanted.rewritten
        rendered = None if untouched else Rendered(call.target, changed)
        return Leg(asked, protocol, chain, rendered=rendered)
    path = "" if route.meant else route.provider.paths.get(route.protocol, "")
    retargeted = protocol.retarget(replace(call, body=changed), _target(route, path))
    return Leg(asked, protocol, chain, rendered=retargeted)


def _translated(call: Call, source: WireProtocol, target: WireProtocol, wanted: Wanted, client: Call) -> Leg:
    """`call`: the one of `client` as it is asked."""
    path = wanted.route.provider.paths.get(target.name, "")
    found = translation(call, source, target, _target(wanted.route, path), wanted.reply)
    found = replace(found, call=client)
    chain = _chain(call, wanted)
    body = chain.request(found.rendered.body) if chain else found.rendered.body
    rendered = replace(found.rendered, body=body)
    return Leg(found.upstream, target, chain, found, rendered)


def _target(route: Route, path: str) -> Target:
    provider = route.provider
    facts = facts_of(provider, route.model)
    return Target(
        provider=provider.name,
        model=route.model or "",
        path=path,
        max_output=facts.max_output,
        thinking=facts.thinking.value if facts.thinking else "",
        max_tokens_field=provider.max_tokens_field,
    )


def _chain(call: Call, wanted: Wanted) -> Chain | None:
    """The adapters of a generation, if there are any; the last one names the model that was asked for."""
    if call.operation is not Operation.GENERATE:
        return None
    route = wanted.route
    adapters = tuple(wanted.adapters)
    if route.model != call.model and wanted.reply.model and route.protocol == call.protocol:
        adapters += (ReportedModel(wanted.reply.model),)
    return Chain(adapters, Context(route.protocol, route.provider.name, route.model)) if adapters else None


@dataclass(frozen=True, slots=True)
class ReportedModel(Unchanged):
    """The answer names the model that the client asked for. Every protocol names it at the top, or in the
    object of a message or response there."""

    model: str
    name: str = "reported_model"

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self._named(body)

    def stream(self, context: Context) -> Events | None:
        return lambda event: (self._named(event),)

    def _named(self, body: JsonObject) -> JsonObject:
        inner = {key: self._named(found) for key in _INNER if "model" in (found := object_at(body, key))}
        own = {key: self.model for key in _MODEL if isinstance(body.get(key), str)}
        return {**body, **inner, **own} if inner or own else body
