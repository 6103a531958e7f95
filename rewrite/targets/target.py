"""One target of a call: how the provider is asked, how its answers are read, and what is recorded of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.base import Decoder, WireProtocol, editor_of
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Rendered
from protocols.model.http import Head, Headers
from protocols.model.origin import Origin
from protocols.model.parts import StreamPart
from rewrite.adapters.chain import Chain
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.targets.hold import HoldingDecoder
from rewrite.targets.reading import Reading
from rewrite.targets.streaming_mode import OtherMode
from rewrite.translation.answer import Recognising, TranslatingDecoder, TranslatingEncoder, wrapped_parts
from rewrite.translation.translate import Loss, Translation
from rewrite.values.outcome import ErrorFacts
from rewrite.values.timeouts import Limits, OnTruncation, Timing

ACROSS_PROVIDERS = frozenset({"accept", "user-agent"})
"""Headers of a client that another provider than the one it called may see, besides the content's type."""

FRAMING = frozenset({"content-length", "content-encoding", "host", "transfer-encoding"})
"""Headers that are rewritten with a new body."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one call may do at one target; fixed when it begins."""

    timing: Timing
    """The timers of an attempt, and the patience of the client."""
    limits: Limits
    """How often the target is asked, and how many bytes its answer may have."""
    on_truncation: OnTruncation = OnTruncation.AUTO
    """What follows a cut after the commit point."""
    discards_cut_calls: bool = False
    """Whether the client throws away a tool call that ends with "length"."""
    cut_text: OnTruncation = OnTruncation.REPAIR
    """How the client takes a cut in text best: what "auto" means there."""
    continuations: int = 3
    """How often the answer may be continued."""
    pooled: bool = True
    """Whether a credential of the pool is used, so that there are others to rotate to. If not, it is the
    client's own, or none."""
    next_on_auth: bool = False
    """Whether the next target is asked where every key of this one is refused."""
    jitter: float = 0.0
    """A random number in [0, 1), which spreads retries."""
    epoch: float = 0.0
    """Wall-clock seconds at second 0 of the machine's clock, for dates in Retry-After."""


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
    provider: Provider = field(init=False, repr=False, compare=False)
    """That of `route`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider", self.route.provider)

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
    def untouched(self) -> bool:
        """Whether the client gets what comes as it comes."""
        return not (self.translation or self.other_mode or self.chain or self.hold_tool_calls)

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

    # -- how its answers are read ---------------------------------------------------------------------

    def reading(self, head: Head) -> Reading:
        """The answer that begins with `head`, read by adapters first, in the client's protocol last."""
        adapted, streamed = self.upstream(head)
        if self.other_mode is not None:
            return self.other_mode.reading(head, adapted, streamed=streamed)
        if self.translation is not None:
            return self._translated(self.translation, head, adapted, streamed=streamed)
        encoder = self.protocol.encoder(self.call)
        if streamed and self.hold_tool_calls:
            holding = HoldingDecoder(adapted, editor_of(self.protocol).pruner())
            return Reading(head, holding, encoder, streamed, calls=holding)
        return Reading(head, adapted, encoder, streamed)

    def _translated(self, found: Translation, head: Head, adapted: Decoder, *, streamed: bool) -> Reading:
        decoder = found.decoder(Recognising(adapted))
        given = found.head(head)
        if isinstance(decoder, TranslatingDecoder):
            encoder = TranslatingEncoder(decoder, found.client_encoder())
            return Reading(given, decoder, encoder, streamed, found, calls=decoder.sequencer)
        own = self.protocol.encoder(self.call)
        if streamed and self.call.stream:
            return Reading(given, decoder, own, False, found, gathering=decoder)
        return Reading(given, decoder, own, streamed, found, calls=decoder.sequencer)

    def upstream(self, head: Head) -> tuple[Decoder, bool]:
        """A decoder of what the provider sends, with the adapters in it, and whether that is a stream."""
        own = self.protocol.decoder(self.call, head)
        adapted = self.chain.decoder(own, head, self.call) if self.chain else own
        return adapted, not isinstance(own, WholeDecoder)

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
