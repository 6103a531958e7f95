"""What a call asks of one target, and what it may do there; fixed when it begins."""

from collections.abc import Sequence

from msgspec import Struct

from protocols.base import WireProtocol
from protocols.model.call import Reply
from protocols.model.http import Origin
from rewrite.adapters.base import Adapter
from rewrite.catalog.providers import ModelFacts
from rewrite.catalog.routes import Route
from rewrite.fields.call_fields import CallFields
from rewrite.hooks.calling import ProviderHooks
from rewrite.records.passes import TargetTrace
from rewrite.values.timeouts import Limits, OnTruncation, Timing


class Terms(Struct, frozen=True):
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


class Wanted(Struct, frozen=True):
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
    model: ModelFacts
    """What is known of the model."""
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
    trace: TargetTrace | None = None
    """None: the call is not traced."""
    hooks: ProviderHooks | None = None
    """The provider's own code. None: it has none."""
    fields: CallFields | None = None
    """The field cache of the call. None: no rule of it is for the call."""
