"""One target of a call: how it is made, how the provider is asked, how its answers are read, and what is
recorded of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from msgspec import structs

from protocols.base import Decoder, WireProtocol, editor_of
from protocols.framing.aws_event_stream import unframed
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import Head, Headers, Origin
from protocols.model.parts import StreamPart
from protocols.model.wirejson import JsonObject, whole
from protocols.shared.signatures import Returning
from rewrite.adapters.base import Adapter, Context
from rewrite.adapters.chain import Chain
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.catalog.routes import Route
from rewrite.fields.call_fields import CallFields
from rewrite.hooks.base import About
from rewrite.hooks.calling import CallHooks, ProviderHooks
from rewrite.hooks.decoding import hooked
from rewrite.hooks.traced import TracedHooks
from rewrite.records.passes import TargetTrace
from rewrite.targets.fields import AttemptFields, Draft, hearing
from rewrite.targets.hold import HoldingDecoder
from rewrite.targets.model_options import with_limit, without_refused
from rewrite.targets.reading import Reading
from rewrite.targets.response_adapters import like_asked
from rewrite.targets.streaming_mode import OtherMode
from rewrite.targets.traced import Before, ParsedWhole, noted
from rewrite.targets.wanted import Terms, Wanted
from rewrite.translation.answer import Recognising, TranslatingDecoder, TranslatingEncoder, wrapped_parts
from rewrite.translation.translate import FOREIGN_REASONING, Loss, Translation, translation
from rewrite.values.outcome import ErrorFacts

ACROSS_PROVIDERS = frozenset({"accept", "user-agent"})
"""Headers of a client that another provider than the one it called may see, besides the content's type."""

FRAMING = frozenset({"content-length", "content-encoding", "host", "transfer-encoding"})
"""Headers that are rewritten with a new body."""


@dataclass(frozen=True, slots=True)
class Target:
    """A provider and a model that one call may be asked at; fixed when the call begins."""

    route: Route
    """Which provider and which model, in which protocol, and whether the client called that provider."""
    call: Call
    """The call as the provider sees it."""
    protocol: WireProtocol
    """The protocol that the provider is asked in."""
    origin: Origin
    """Where the provider is."""
    terms: Terms
    """What the call may do there."""
    index: int = 0
    """Its place among the targets of its call, counted from 0."""
    rendered: Rendered | None = None
    """Path and body that take the place of the client's. None: its own bytes, as they are."""
    chain: Chain | None = None
    """The adapters of requests and answers. None: there are none."""
    translation: Translation | None = None
    """How answers come back to the client's protocol. None: they are in it."""
    losses: Sequence[Loss] = ()
    """What of the client's request the provider cannot be asked."""
    hold_tool_calls: bool = False
    """Whether the client gets only whole tool calls of a streamed answer."""
    other_mode: OtherMode | None = None
    """How answers are read that are streamed where the client wants them whole, or the reverse. None: they
    come as the client asked."""
    trace: TargetTrace | None = field(default=None, repr=False, compare=False)
    """None: the call is not traced."""
    hooks: CallHooks | None = None
    """The provider's own code. None: it has none."""
    fields: CallFields | None = field(default=None, compare=False)
    """What is kept of the provider's fields, and goes back to it. None: no rule of the field cache is for the
    call."""
    draft: Draft | None = field(default=None, repr=False, compare=False)
    """The request before those fields, where some of them wait for the credential of an attempt."""
    provider: Provider = field(init=False, repr=False, compare=False)
    """That of `route`."""
    untouched: bool = field(init=False, repr=False, compare=False)
    """Whether the client gets what comes as it comes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider", self.route.provider)
        changes = self.translation or self.other_mode or self.chain or self.hold_tool_calls or self.hooks
        object.__setattr__(self, "untouched", not changes)

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def errors(self) -> ErrorFacts:
        """What the provider's errors mean."""
        return self.provider.errors

    @property
    def label(self) -> str:
        """provider/model, for records and messages."""
        return self.route.label

    @property
    def no_half_calls(self) -> bool:
        """Whether the client never has half a tool call: it gets none, or throws it away."""
        return self.hold_tool_calls or self.terms.discards_cut_calls

    # -- how it is asked ------------------------------------------------------------------------------

    @property
    def keeps_headers(self) -> bool:
        """Whether it gets the client's headers: it is who the client called, in the client's protocol."""
        return self.route.original and self.translation is None

    def headers(self, sent: Headers) -> Headers:
        """Those of a request to another provider or in another protocol: an allow-list of those that the
        client `sent`, and what the protocol asks for. A credential is not among them."""
        own = self.rendered.headers if self.rendered else ()
        translator = self.protocol.translator
        allowed = ACROSS_PROVIDERS | (translator.abilities.headers if translator else frozenset())
        allowed -= {name.lower() for name, _ in own}
        kept = tuple(pair for pair in sent if pair[0].lower() in allowed)
        return (("host", self.origin.authority), *kept, *own, ("content-type", "application/json"))

    def attempted(self, credential: str | None) -> AttemptFields | None:
        """The field cache of one attempt with this credential, see `call_fields.Asked`; None: no rule is for
        the call."""
        if self.fields is None:
            return None
        own = self.fields.attempt(credential)
        try:
            instead = self._asked_with(own)
        except Untranslatable:  # what was planned can be asked
            instead = None
        trace = self.trace.call if self.trace else None
        return AttemptFields(own, instead, self.protocol.editor, trace=trace)

    def _asked_with(self, fields: CallFields) -> Rendered | None:
        """What is asked with the values of an attempt; None: what was planned."""
        if self.draft and self.trace:
            self.trace.forget()
        instead = self.draft.rendered(fields) if self.draft else None
        return self.hooks.prepared(instead) if instead and self.hooks else instead

    # -- how its answers are read ---------------------------------------------------------------------

    def reading(self, head: Head, fields: AttemptFields | None = None) -> Reading:
        """The answer that begins with `head`, read by adapters first, in the client's protocol last; what it
        says goes to `fields` too."""
        found = self._noted(head, fields)
        found.hear = fields.hear if fields else None
        return found

    def _noted(self, head: Head, fields: AttemptFields | None) -> Reading:
        adapted, streamed = self.upstream(head, fields)
        if self.trace is None:
            return self._reading(head, adapted, streamed=streamed)
        before = Before(adapted)
        reading = self._reading(head, before, streamed=streamed)
        if streamed and reading.decoder is before:
            return self._reading(head, adapted, streamed=streamed)
        return noted(reading, before, self.trace.call)

    def _reading(self, head: Head, adapted: Decoder, *, streamed: bool) -> Reading:
        if self.other_mode is not None:
            return self.other_mode.reading(head, adapted, streamed=streamed)
        if self.translation is not None:
            return self._translated(self.translation, head, adapted, streamed=streamed)
        encoder = self.protocol.encoder(self.call)
        head = unframed(head) if streamed and self.hooks else head
        if streamed and self.hold_tool_calls:
            holding = HoldingDecoder(adapted, editor_of(self.protocol).pruner())
            return Reading(head, holding, encoder, streamed, calls=holding)
        return Reading(head, adapted, encoder, streamed)

    def _translated(self, found: Translation, head: Head, adapted: Decoder, *, streamed: bool) -> Reading:
        decoder = found.decoder(Recognising(adapted))
        given, calls = found.head(head), decoder.sequencer
        if isinstance(decoder, TranslatingDecoder):
            encoder = TranslatingEncoder(decoder, found.client_encoder())
            return Reading(given, decoder, encoder, streamed, found, calls=calls, counts=calls)
        own = self.protocol.encoder(self.call)
        if streamed and self.call.stream:
            return Reading(given, decoder, own, False, found, gathering=decoder, counts=calls)
        return Reading(given, decoder, own, streamed, found, calls=calls, counts=calls)

    def upstream(self, head: Head, fields: AttemptFields | None = None) -> tuple[Decoder, bool]:
        """A decoder of what the provider sends, with the adapters in it, and whether that is a stream."""
        own = self.protocol.decoder(self.call, head)
        streamed = not isinstance(own, WholeDecoder)
        if self.trace is not None and isinstance(own, WholeDecoder):
            own = ParsedWhole(own, self.trace.call)
        read = hooked(own, self.hooks) if self.hooks else own
        heard = fields if fields and fields.listens(streamed=streamed) else None
        hear = heard.object if heard else None
        adapted = self.chain.decoder(read, head, self.call, hear) if self.chain else read
        return hearing(read, heard) if heard and adapted is read else adapted, streamed

    def wrapped(self, parts: Sequence[StreamPart]) -> Sequence[StreamPart]:
        """Parts of the provider's as the client gets them: its signatures in envelopes, where it is not the
        client's own."""
        return wrapped_parts(parts, self.translation.provider) if self.translation else parts

    # -- what is recorded of it -----------------------------------------------------------------------

    def dropped(self, sent: Headers) -> list[str]:
        """The names of the headers that the client `sent` and this target does not get."""
        names = {name.lower() for name, _ in sent}
        if self.keeps_headers:
            return sorted(names & set(self.provider.account_headers if self.terms.pooled else ()))
        return sorted(names - {name.lower() for name, _ in self.headers(sent)} - FRAMING)


# -- how it is made ----------------------------------------------------------------------------------------

_NOT_WITHOUT = "cannot continue without the reasoning that another provider made"


def target_of(call: Call, protocol: WireProtocol, wanted: Wanted) -> Target:
    """The target of `call`, of a client of `protocol`, that is `wanted`. Raises Untranslatable, and where
    the provider's own code fails HookFailed."""
    target = _planned(call, protocol, wanted)
    return _with_hooks(target, wanted.hooks) if wanted.hooks else target


def _with_hooks(target: Target, registered: ProviderHooks) -> Target:
    """`target`, whose request the provider's own code has the last word on. What is no object is passed on as
    it is."""
    call, route = target.call, target.route
    asked_for = route.model, call.operation, call.stream, call.headers
    about, trace = About(route.provider.name, route.protocol, *asked_for), target.trace
    hooks = TracedHooks(registered, about, trace=trace) if trace else CallHooks(registered, about)
    asked = target.rendered or Rendered(call.target, call.body)
    if not asked.body and _generates(call):
        return replace(target, hooks=hooks)
    found = hooks.prepared(asked)
    return replace(target, hooks=hooks, rendered=target.rendered if found is asked else found)


def _planned(call: Call, protocol: WireProtocol, wanted: Wanted) -> Target:
    """The target of `call`, as far as it is planned without code of the provider's."""
    streams = wanted.route.provider.streams
    asked = _as_asked(call, protocol, force_stream=wanted.force_stream, streams=streams)
    if wanted.spoken.name != protocol.name:
        return _across(_wholly_read(asked), protocol, wanted, call)
    if asked is call:
        return _within(call, protocol, wanted)
    other = OtherMode(call, protocol, wanted.reply)
    return _within(asked, protocol, structs.replace(wanted, rewritten=True), other)


def _as_asked(call: Call, protocol: WireProtocol, *, force_stream: bool, streams: bool) -> Call:
    """`call` of a client of `protocol` as its provider is asked; the same object where that is as it is.

    `force_stream`: it is to be streamed though its client did not ask; `streams`: its provider can. One of a
    protocol that is only passed on stays as it is.
    """
    stream = streams and (call.stream or force_stream)
    if stream == call.stream or protocol.editor is None or protocol.translator is None:
        return call
    if not _generates(call) or call.background or not call.body:
        return call
    return protocol.editor.with_stream(call, stream)


def _wholly_read(call: Call) -> Call:
    """For what looks at all of a request."""
    return replace(call, body=whole(call.body))


def _within(
    call: Call, protocol: WireProtocol, wanted: Wanted, other_mode: OtherMode | None = None
) -> Target:
    """In the protocol of the client."""
    route = wanted.route
    plain = route.original and route.model == call.model
    chain = _chain(call, wanted, *(() if plain else like_asked(call, protocol, route, wanted.reply.model)))
    call = _wholly_read(call) if chain or _changes(wanted.model) else call
    body, losses = _own_signatures(call, protocol, wanted)
    if _changes(wanted.model):
        body = with_limit(call, body, protocol, wanted.model, route.provider.max_tokens_field)
    finish = partial(_finished, call, protocol, wanted, chain)
    draft = Draft(Rendered(call.target, body), finish, trace=wanted.trace)
    rendered = draft.rendered(wanted.fields) if wanted.fields else finish(draft.written)
    return Target(
        route,
        call if route.model == call.model else replace(call, model=route.model),
        protocol,
        wanted.origin,
        wanted.terms,
        wanted.index,
        rendered=rendered,
        chain=chain,
        losses=_losses(losses, rendered),
        hold_tool_calls=wanted.hold_tool_calls and protocol.editor is not None and _generates(call),
        other_mode=other_mode,
        trace=wanted.trace,
        fields=wanted.fields,
        draft=_waiting(draft, wanted),
    )


def _waiting(draft: Draft, wanted: Wanted) -> Draft | None:
    """`draft` where fields wait for the credential."""
    return draft if wanted.fields and wanted.fields.needs_credential else None


def _finished(
    call: Call, protocol: WireProtocol, wanted: Wanted, chain: Chain | None, draft: Rendered
) -> Rendered | None:
    """The request of `call` with the body of `draft`, adapted."""
    changed, refused = _adapted_body(call, wanted, chain, draft)
    untouched = changed is call.body
    said = call if untouched else replace(call, body=changed)
    rendered = _rendered(said, protocol, wanted, untouched=untouched)
    return replace(rendered, losses=refused) if rendered and refused else rendered


def _changes(model: ModelFacts) -> bool:
    """Whether what is known of `model` changes requests for it."""
    return bool(model.default_output or model.refuses)


def _generates(call: Call) -> bool:
    return call.operation is Operation.GENERATE


def _rendered(call: Call, protocol: WireProtocol, wanted: Wanted, *, untouched: bool) -> Rendered | None:
    """What takes the place of the client's own bytes, which are `untouched` or not."""
    route = wanted.route
    if route.original and route.model == call.model:
        return None if untouched and not wanted.rewritten else Rendered(call.target, call.body)
    path = "" if route.original else route.provider.paths.get(route.protocol, "")
    return _retargeted(call, protocol, _destination(wanted, path))


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
    found = translation(call, source, spoken, _destination(wanted, path), wanted.reply)
    chain = _chain(call, wanted)
    finish = partial(_adapted, call, wanted, chain)
    draft = Draft(found.rendered, finish, found.prompt, found.write, wanted.trace)
    hold = wanted.hold_tool_calls
    found = replace(found, call=client, hold_tool_calls=hold, prompt=None, write=None)
    rendered = draft.rendered(wanted.fields)
    return Target(
        wanted.route,
        found.upstream,
        spoken,
        wanted.origin,
        wanted.terms,
        wanted.index,
        rendered=rendered,
        chain=chain,
        translation=found,
        losses=_losses(found.losses, rendered),
        hold_tool_calls=wanted.hold_tool_calls and _generates(call),
        trace=wanted.trace,
        fields=wanted.fields,
        draft=_waiting(draft, wanted),
    )


def _adapted(call: Call, wanted: Wanted, chain: Chain | None, draft: Rendered) -> Rendered:
    """The `draft` of a request of `call`, adapted."""
    body, refused = _adapted_body(call, wanted, chain, draft)
    return draft if body is draft.body else replace(draft, body=body, losses=(*draft.losses, *refused))


def _adapted_body(
    call: Call, wanted: Wanted, chain: Chain | None, draft: Rendered
) -> tuple[JsonObject, Sequence[tuple[str, str]]]:
    """What the adapters make of the body of `draft`, without what the model refuses, and what that was."""
    if wanted.trace is not None:
        changed = draft.body is not call.body or wanted.rewritten
        wanted.trace.planned("built_request", whole(draft.body) if changed else None, changed=changed)
    body = chain.request(draft.body) if chain else draft.body
    if not _changes(wanted.model):
        return body, ()
    return without_refused(call, body, wanted.model, _context(wanted.route), wanted.trace)


def _losses(known: Sequence[Loss], rendered: Rendered | None) -> Sequence[Loss]:
    """`known` losses, and those that finishing the request brought."""
    more = (Loss(*each) for each in rendered.losses) if rendered else ()
    return (*known, *(loss for loss in more if loss not in known))


def _destination(wanted: Wanted, path: str) -> Destination:
    provider, facts = wanted.route.provider, wanted.model
    return Destination(
        provider=provider.name,
        model=wanted.route.model or "",
        path=path,
        max_output=facts.max_output,
        default_output=facts.default_output,
        thinking=facts.thinking.value if facts.thinking else "",
        max_tokens_field=provider.max_tokens_field,
    )


def _chain(call: Call, wanted: Wanted, *last: Adapter) -> Chain | None:
    """The adapters of a call, if there are any: of the config for a generation alone, then `last`."""
    configured = wanted.adapters if _generates(call) else ()
    adapters = (*configured, *last)
    return Chain(adapters, _context(wanted.route), wanted.trace) if adapters else None


def _context(route: Route) -> Context:
    return Context(route.protocol, route.provider.name, route.model)
