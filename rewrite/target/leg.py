"""One target of a call: how the provider is asked, and how its answers are read on the client's behalf."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.base import Decoder, WireProtocol, editor_of
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.http import Head
from protocols.model.parts import StreamPart
from protocols.model.wirejson import JsonObject
from protocols.registry import Registry
from protocols.shared.signatures import Returning
from rewrite.adapters.base import Adapter, Context
from rewrite.adapters.chain import Chain
from rewrite.catalog.providers import facts_of
from rewrite.catalog.routes import Route
from rewrite.target.hold import HoldingDecoder
from rewrite.target.reading import Reading
from rewrite.target.response_adapters import CarriedSeals, ReportedModel
from rewrite.target.streaming_mode import Turned, as_asked
from rewrite.translation.fitting import FOREIGN_REASONING, Loss
from rewrite.translation.translate import (
    Recognising,
    TranslatingDecoder,
    TranslatingEncoder,
    Translation,
    WholeTranslator,
    sealed,
    translation,
)

_NOT_WITHOUT = "cannot go on without the reasoning that another provider made"


@dataclass(frozen=True, slots=True)
class Leg:
    """`call` and `protocol` as the provider sees them; `translation` None: they are the client's own.

    `rendered`: path and body that take the place of the client's; None: its own bytes, as they are.
    `hold_tool_calls`: of a streamed answer the client gets tool calls that are whole, and no others.
    `turned`: it is asked for the other way than its client asked, within one protocol.
    """

    call: Call
    protocol: WireProtocol
    chain: Chain | None = None
    translation: Translation | None = None
    rendered: Rendered | None = None
    losses: Sequence[Loss] = ()
    hold_tool_calls: bool = False
    turned: Turned | None = None

    @property
    def untouched(self) -> bool:
        """Whether the client gets what comes as it comes."""
        changed = self.translation or self.turned or self.chain or self.hold_tool_calls
        return not changed

    def reading(self, head: Head) -> Reading:
        """The answer that begins with `head`, read by adapters first, in the client's protocol last."""
        adapted, streamed = self.upstream(head)
        if self.turned is not None:
            return self.turned.reading(head, adapted, streamed=streamed)
        encoder = self.protocol.encoder(self.call)
        if self.translation is None and streamed and self.hold_tool_calls:
            holding = HoldingDecoder(adapted, editor_of(self.protocol).pruner())
            return Reading(head, holding, encoder, streamed, calls=holding)
        if self.translation is None:
            return Reading(head, adapted, encoder, streamed)
        decoder = self.translation.decoder(Recognising(adapted))
        if isinstance(decoder, TranslatingDecoder):
            encoder = TranslatingEncoder(decoder, self.translation.client_encoder())
        told = self.translation.head(head)
        if streamed and self.call.stream and isinstance(decoder, WholeTranslator):
            return Reading(told, decoder, encoder, False, self.translation, gathering=decoder)
        return Reading(told, decoder, encoder, streamed, self.translation, calls=decoder.sequencer)

    def upstream(self, head: Head) -> tuple[Decoder, bool]:
        """A decoder of what the provider sends, with the adapters in it, and whether that is a stream."""
        own = self.protocol.decoder(self.call, head)
        adapted = self.chain.decoder(own, head, self.call) if self.chain else own
        return adapted, not isinstance(own, WholeDecoder)

    def sealed(self, parts: Sequence[StreamPart]) -> Sequence[StreamPart]:
        """Parts of the provider's as the client gets them: what it sealed in carriers, where it is not the
        client's own."""
        return sealed(parts, self.translation.provider) if self.translation else parts


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a call is to go: besides its route, what its rule and its client ask for.

    `adapters` in order; `reply`: what the answer is called where it is translated, its model empty for the
    one that served; `sealed`: the body holds what other providers sealed; `rewritten`: it is not what the
    client's bytes say; `hold_tool_calls`: see `Leg`; `force_stream`: it is streamed upstream, whatever the
    client asked for.
    """

    route: Route
    adapters: Sequence[Adapter]
    reply: Reply
    sealed: bool = False
    rewritten: bool = False
    hold_tool_calls: bool = False
    force_stream: bool = False


def leg_of(call: Call, protocol: WireProtocol, wanted: Wanted, registry: Registry) -> Leg:
    """The leg of `call` of a client of `protocol` on one route. Raises Untranslatable."""
    target = registry[wanted.route.protocol]
    streams = wanted.route.provider.streams
    asked = as_asked(call, protocol, force_stream=wanted.force_stream, streams=streams)
    if target.name != protocol.name:
        leg = _translated(asked, protocol, target, wanted, call)
    elif asked is call:
        leg = _within(call, protocol, wanted)
    else:
        turned = Turned(call, protocol, wanted.reply)
        leg = replace(_within(asked, protocol, replace(wanted, rewritten=True)), turned=turned)
    can_hold = bool(leg.translation or protocol.editor) and call.operation is Operation.GENERATE
    return replace(leg, hold_tool_calls=wanted.hold_tool_calls and can_hold)


def _within(call: Call, protocol: WireProtocol, wanted: Wanted) -> Leg:
    route, model = wanted.route, wanted.route.model
    chain = _chain(call, wanted, *_faces(call, protocol, wanted))
    asked = replace(call, model=model)
    body, losses = _unsealed(call, protocol, wanted)
    changed = chain.request(body) if chain else body
    if route.meant and model == call.model:
        untouched = changed is call.body and not wanted.rewritten
        rendered = None if untouched else Rendered(call.target, changed)
        return Leg(asked, protocol, chain, rendered=rendered, losses=losses)
    path = "" if route.meant else route.provider.paths.get(route.protocol, "")
    retargeted = _retargeted(replace(call, body=changed), protocol, _target(route, path))
    return Leg(asked, protocol, chain, rendered=retargeted, losses=losses)


def _retargeted(call: Call, protocol: WireProtocol, where: Destination) -> Rendered:
    """Where nothing of it changes, a call needs no editor."""
    if protocol.editor is None and where.model == call.model and not where.path:
        return Rendered(call.target, call.body)
    return editor_of(protocol).retarget(call, where)


def _unsealed(call: Call, protocol: WireProtocol, wanted: Wanted) -> tuple[JsonObject, Sequence[Loss]]:
    """The body with the provider's own seals alone; what no carrier holds is of the one that was meant."""
    route = wanted.route
    if protocol.editor is None or (route.meant and not wanted.sealed):
        return call.body, ()
    keep = Returning(route.provider.name, native=route.meant)
    body = protocol.editor.own_signatures(call.body, keep)
    without = (Loss(name, _NOT_WITHOUT) for name in call.body if name not in body)
    return body, (FOREIGN_REASONING, *without) if keep.dropped else ()


def _translated(call: Call, source: WireProtocol, target: WireProtocol, wanted: Wanted, client: Call) -> Leg:
    """`call`: the one of `client` as it is asked."""
    path = wanted.route.provider.paths.get(target.name, "")
    found = translation(call, source, target, _target(wanted.route, path), wanted.reply)
    found = replace(found, call=client)
    chain = _chain(call, wanted)
    found = replace(found, hold_tool_calls=wanted.hold_tool_calls)
    body = chain.request(found.rendered.body) if chain else found.rendered.body
    rendered = replace(found.rendered, body=body)
    return Leg(found.upstream, target, chain, found, rendered, found.losses)


def _target(route: Route, path: str) -> Destination:
    provider = route.provider
    facts = facts_of(provider, route.model)
    return Destination(
        provider=provider.name,
        model=route.model or "",
        path=path,
        max_output=facts.max_output,
        thinking=facts.thinking.value if facts.thinking else "",
        max_tokens_field=provider.max_tokens_field,
    )


def _faces(call: Call, protocol: WireProtocol, wanted: Wanted) -> Iterator[Adapter]:
    """What makes an answer of another model or provider look like one of those that were asked."""
    if not wanted.route.meant and call.operation is Operation.GENERATE and protocol.editor:
        yield CarriedSeals(protocol.editor)
    if wanted.route.model != call.model and wanted.reply.model:
        yield ReportedModel(wanted.reply.model)


def _chain(call: Call, wanted: Wanted, *faces: Adapter) -> Chain | None:
    """The adapters of a call, if there are any: those of the config for a generation alone, `faces` last."""
    configured = wanted.adapters if call.operation is Operation.GENERATE else ()
    adapters, route = (*configured, *faces), wanted.route
    return Chain(adapters, Context(route.protocol, route.provider.name, route.model)) if adapters else None
