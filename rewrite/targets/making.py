"""How a target is made: what a call becomes for one provider and model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from protocols.base import WireProtocol, editor_of
from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.origin import Origin
from protocols.model.wirejson import JsonObject, whole
from protocols.shared.signatures import Returning
from rewrite.adapters.base import Adapter, Context
from rewrite.adapters.chain import Chain
from rewrite.catalog.providers import facts_of
from rewrite.catalog.routes import Route
from rewrite.targets.response_adapters import ReportedModel, WrappedSignatures
from rewrite.targets.streaming_mode import OtherMode
from rewrite.targets.target import Target, Terms
from rewrite.translation.translate import FOREIGN_REASONING, Loss, translation

_NOT_WITHOUT = "cannot continue without the reasoning that another provider made"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a call is to go to one target: what its rule, its client and the config ask for."""

    route: Route
    """The provider, its protocol and the model."""
    spoken: WireProtocol
    """The protocol that `route` names."""
    origin: Origin
    """Where the provider is."""
    terms: Terms
    """What the call may do there."""
    adapters: Sequence[Adapter]
    """Those of the config, in order."""
    reply: Reply
    """What the answer is called where it is translated. Its model is empty for the one that served."""
    index: int = 0
    """The place of the target among those of its call."""
    enveloped: bool = False
    """Whether the body holds signatures of other providers, in envelopes."""
    rewritten: bool = False
    """Whether the call says something else than the client's bytes."""
    hold_tool_calls: bool = False
    """Whether the client gets only whole tool calls of a streamed answer."""
    force_stream: bool = False
    """Whether it is streamed upstream, whatever the client asked for."""


def target_of(call: Call, protocol: WireProtocol, wanted: Wanted) -> Target:
    """The target of `call`, of a client of `protocol`, that is `wanted`. Raises Untranslatable."""
    streams = wanted.route.provider.streams
    asked = _as_asked(call, protocol, force_stream=wanted.force_stream, streams=streams)
    if wanted.spoken.name != protocol.name:
        made = _across(_wholly_read(asked), protocol, wanted, call)
    elif asked is call:
        made = _within(call, protocol, wanted)
    else:
        other = OtherMode(call, protocol, wanted.reply)
        made = replace(_within(asked, protocol, replace(wanted, rewritten=True)), other_mode=other)
    can_hold = bool(made.translation or protocol.editor) and call.operation is Operation.GENERATE
    return replace(made, hold_tool_calls=wanted.hold_tool_calls and can_hold)


def _as_asked(call: Call, protocol: WireProtocol, *, force_stream: bool, streams: bool) -> Call:
    """`call` of a client of `protocol` as its provider is asked; the same object where that is as it is.

    `force_stream`: it is to be streamed though its client did not ask; `streams`: its provider can. One of a
    protocol that is only passed on stays as it is.
    """
    stream = streams and (call.stream or force_stream)
    asks = call.operation is Operation.GENERATE and not call.background and bool(call.body)
    if not asks or stream == call.stream or protocol.editor is None or protocol.translator is None:
        return call
    return protocol.editor.with_stream(call, stream)


def _wholly_read(call: Call) -> Call:
    """For what looks at all of a request."""
    return replace(call, body=whole(call.body))


def _asked(wanted: Wanted, call: Call, protocol: WireProtocol) -> Target:
    """The target that is asked as its client asked."""
    return Target(wanted.route, call, protocol, wanted.origin, wanted.terms, wanted.index)


def _within(call: Call, protocol: WireProtocol, wanted: Wanted) -> Target:
    """In the protocol of the client."""
    chain = _chain(call, wanted, *_response_adapters(call, protocol, wanted))
    call = _wholly_read(call) if chain else call
    body, losses = _own_signatures(call, protocol, wanted)
    changed = chain.request(body) if chain else body
    rendered = _rendered(replace(call, body=changed), protocol, wanted, untouched=changed is call.body)
    made = _asked(wanted, replace(call, model=wanted.route.model), protocol)
    return replace(made, rendered=rendered, chain=chain, losses=losses)


def _rendered(call: Call, protocol: WireProtocol, wanted: Wanted, *, untouched: bool) -> Rendered | None:
    """What takes the place of the client's own bytes, which are `untouched` or not."""
    route = wanted.route
    if route.original and route.model == call.model:
        return None if untouched and not wanted.rewritten else Rendered(call.target, call.body)
    path = "" if route.original else route.provider.paths.get(route.protocol, "")
    return _retargeted(call, protocol, _destination(route, path))


def _retargeted(call: Call, protocol: WireProtocol, where: Destination) -> Rendered:
    """Where nothing of it changes, a call needs no editor."""
    if protocol.editor is None and where.model == call.model and not where.path:
        return Rendered(call.target, call.body)
    return editor_of(protocol).retarget(call, where)


def _own_signatures(call: Call, protocol: WireProtocol, wanted: Wanted) -> tuple[JsonObject, Sequence[Loss]]:
    """The body with the provider's own signatures alone. One in no envelope is of the original provider."""
    route = wanted.route
    if protocol.editor is None or (route.original and not wanted.enveloped):
        return call.body, ()
    keep = Returning(route.provider.name, native=route.original)
    body = protocol.editor.own_signatures(call.body, keep)
    without = (Loss(name, _NOT_WITHOUT) for name in call.body if name not in body)
    return body, (FOREIGN_REASONING, *without) if keep.dropped else ()


def _across(call: Call, source: WireProtocol, wanted: Wanted, client: Call) -> Target:
    """In another protocol than the client's. `call`: the one of `client` as it is asked."""
    spoken = wanted.spoken
    path = wanted.route.provider.paths.get(spoken.name, "")
    found = translation(call, source, spoken, _destination(wanted.route, path), wanted.reply)
    found = replace(found, call=client, hold_tool_calls=wanted.hold_tool_calls)
    chain = _chain(call, wanted)
    body = chain.request(found.rendered.body) if chain else found.rendered.body
    made = _asked(wanted, found.upstream, spoken)
    rendered = replace(found.rendered, body=body)
    return replace(made, rendered=rendered, chain=chain, translation=found, losses=found.losses)


def _destination(route: Route, path: str) -> Destination:
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


def _response_adapters(call: Call, protocol: WireProtocol, wanted: Wanted) -> Iterator[Adapter]:
    """What makes an answer of another model or provider look like one of those that were asked."""
    if not wanted.route.original and call.operation is Operation.GENERATE and protocol.editor:
        yield WrappedSignatures(protocol.editor)
    if wanted.route.model != call.model and wanted.reply.model:
        yield ReportedModel(wanted.reply.model)


def _chain(call: Call, wanted: Wanted, *last: Adapter) -> Chain | None:
    """The adapters of a call, if there are any: of the config for a generation alone, then `last`."""
    configured = wanted.adapters if call.operation is Operation.GENERATE else ()
    adapters, route = (*configured, *last), wanted.route
    return Chain(adapters, Context(route.protocol, route.provider.name, route.model)) if adapters else None
