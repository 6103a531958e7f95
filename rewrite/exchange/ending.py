"""How a committed answer ends: properly, with an error of its own, or cut; and the parts that close it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from protocols.model.parts import StreamError, StreamPart
from protocols.model.progress import Progress
from rewrite.policies import classify, truncation
from rewrite.policies.stream_end import Complete, Cut, Empty, Failed, Verdict
from rewrite.target.target import Target
from rewrite.translation import repair
from rewrite.translation.error_kinds import message_of
from rewrite.values.decision import Continue, Fail, Repair
from rewrite.values.outcome import Completed, ErrorFacts, Outcome, describe


@dataclass(frozen=True, slots=True)
class Ending:
    """`end` in one word and `words` for a reader, both for the record; `parts` close the answer."""

    outcome: Outcome
    end: str
    words: str = ""
    parts: Sequence[StreamPart] = ()


def ending(
    found: Verdict,
    progress: Progress,
    otherwise: Outcome,
    target: Target,
    *,
    streamed: bool,
    can_go_on: bool = False,
) -> Ending | Continue:
    """The end of an answer that came so far, and that ended as `found` says.

    `otherwise`: what it came to if it is cut; `streamed`: it came as a stream, and so lacks the last frame if
    that did not come; `can_go_on`: it is cut, and the rest can be asked for.
    """
    match found:
        case Failed(error=error):
            return errored(error, target.errors)
        case Complete():
            return Ending(Completed(), "completed", parts=repair.formality(progress) if streamed else ())
        case Cut() | Empty():
            words = describe(otherwise)
            decision = truncation.decide(found, words, target, can_go_on=can_go_on)
            return decision if isinstance(decision, Continue) else _closed(decision, progress, otherwise)
        case _:
            assert_never(found)


def _closed(decision: Repair | Fail, progress: Progress, outcome: Outcome) -> Ending:
    match decision:
        case Repair():
            told = f"cut: {describe(outcome)}; ended with the protocol's length"
            return Ending(outcome, "truncated", told, repair.closing(progress))
        case Fail(message=message):
            return Ending(outcome, "failed", f"{message}; ended with an error", repair.failing(message))
        case _:
            assert_never(decision)


def with_left_out(words: str, names: Sequence[str]) -> str:
    """`words`, and the tool calls that the client was spared."""
    told = [f"the tool call {name!r} was cut and left out" for name in names]
    return "; ".join([words, *told] if words else told)


def errored(error: StreamError, errors: ErrorFacts, parts: Sequence[StreamPart] = ()) -> Ending:
    return Ending(classify.in_band(error, errors), "error", message_of(error), parts)
