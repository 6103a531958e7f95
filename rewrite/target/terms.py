"""What one call may do at one target."""

from dataclasses import dataclass

from rewrite.target.leg import Leg
from rewrite.values.outcome import ErrorFacts
from rewrite.values.timeouts import Limits, OnTruncation, Timing


@dataclass(frozen=True, slots=True)
class Terms:
    """What one call may do at one target; fixed when it begins.

    `discards_cut_calls`: the client throws away a call that ends with "length"; `cut_text`: how it takes a
    cut in text best; `continuations`: how often an answer may be gone on with. `pooled`: there are
    credentials to rotate in; `next_on_auth`: a target that refuses every key is passed over; `leg`: how the
    target is asked and read, None: as the client asked; `jitter`: a random number in [0, 1); `epoch`:
    wall-clock seconds at second 0 of the machine's clock, for dates in Retry-After.
    """

    provider: str
    timing: Timing
    limits: Limits
    errors: ErrorFacts
    on_truncation: OnTruncation = OnTruncation.AUTO
    discards_cut_calls: bool = False
    cut_text: OnTruncation = OnTruncation.REPAIR
    continuations: int = 3
    pooled: bool = True
    next_on_auth: bool = False
    leg: Leg | None = None
    jitter: float = 0.0
    epoch: float = 0.0

    @property
    def no_half_calls(self) -> bool:
        """The client never has half a tool call: it gets none, or throws it away."""
        return self.discards_cut_calls or (self.leg is not None and self.leg.hold_tool_calls)
