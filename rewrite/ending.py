"""How a committed answer ends: properly, with an error of its own, or cut; and the parts that close it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from protocols.base import Call
from protocols.parts import Progress, StreamError, StreamPart
from protocols.wirejson import count_at
from rewrite import classify, repair
from rewrite.decision import Fail, Repair
from rewrite.limits import OnTruncation
from rewrite.outcome import Completed, ErrorFacts, Outcome, Stalled, Truncated, describe
from rewrite.policies import truncation

MOST_CHOICES = 128


@dataclass(frozen=True, slots=True)
class Ending:
    """`end` in one word and `words` for a reader, both for the record; `parts` close the answer."""

    outcome: Outcome
    end: str
    words: str = ""
    parts: Sequence[StreamPart] = ()


def choices_asked(call: Call) -> int:
    """The `n` of a request, 0 where it says nothing: how many choices a whole answer has."""
    return min(count_at(call.body, "n") or 0, MOST_CHOICES)


def ending(
    progress: Progress,
    otherwise: Truncated | Stalled,
    *,
    streamed: bool,
    errors: ErrorFacts,
    mode: OnTruncation,
    discards_cut_calls: bool,
) -> Ending:
    """The end of an answer that came so far; `otherwise`: what it came to if it is cut.

    `streamed`: it came as a stream, and so lacks the last frame if that did not come.
    """
    if progress.error:
        return errored(progress.error, errors)
    if progress.complete:
        return Ending(Completed(), "completed", parts=repair.formality(progress) if streamed else ())
    words = describe(otherwise)
    decision = truncation.decide(progress, words, mode, discards_cut_calls=discards_cut_calls)
    match decision:
        case Repair():
            told = f"cut: {words}; ended with the protocol's length"
            return Ending(otherwise, "repaired", told, repair.closing(progress))
        case Fail(message=message):
            return Ending(otherwise, "failed", f"{message}; ended with an error", repair.failing(message))
        case _:
            assert_never(decision)


def with_left_out(words: str, names: Sequence[str]) -> str:
    """`words`, and the tool calls that the client was spared."""
    told = [f"the tool call {name!r} was cut and left out" for name in names]
    return "; ".join([words, *told] if words else told)


def errored(error: StreamError, errors: ErrorFacts, parts: Sequence[StreamPart] = ()) -> Ending:
    return Ending(classify.in_band(error, errors), "error", error.message, parts)
