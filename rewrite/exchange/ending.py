"""How the stream of an answer ended, what follows a cut, and the parts that close the answer.

A cut in text ends with "length", which most clients take for what it is; some are better served by an
error, after which they ask again by themselves, or by a continuation. A cut inside a tool call that the
client has seen a part of ends with an error, because clients exist that complete and run half a call
(measured: langchain turns half of the arguments into a valid call), unless the client is known to discard
it, or has seen nothing of it because calls are held until they are whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from protocols.model.parts import BlockKind, StreamEnd, StreamError, StreamPart
from protocols.model.progress import Block, Progress
from rewrite.policies import classify
from rewrite.targets.target import Target
from rewrite.targets.wanted import Terms
from rewrite.translation import repair
from rewrite.translation.error_kinds import message_of
from rewrite.values.decision import Continue, Fail, Repair
from rewrite.values.outcome import Abandoned, Completed, ErrorFacts, Outcome
from rewrite.values.timeouts import OnTruncation


@dataclass(frozen=True, slots=True)
class Complete:
    """It said that it was done, if perhaps without a last formality."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It said that it failed."""

    error: StreamError
    """In the provider's words."""


@dataclass(frozen=True, slots=True)
class Empty:
    """It ended without a proper end, and there is nothing that a client could see."""


@dataclass(frozen=True, slots=True)
class Cut:
    """It ended without a proper end, and there is something that a client could see."""

    place: BlockKind
    """The kind of the block that was cut. After a block that was whole it is text, which would have come."""
    tool: str = ""
    """The name of the tool call that was cut; empty where it had none yet."""


type Completeness = Complete | Failed | Empty | Cut


def completeness(progress: Progress) -> Completeness:
    """What is known of single protocols is in their decoders: which of a provider's words are an end, and
    that one choice or one formality may be missing (see `Progress.complete`)."""
    if progress.error:
        return Failed(progress.error)
    if progress.complete:
        return Complete()
    if (call := next(_cut_calls(progress), None)) is not None:
        return Cut(BlockKind.TOOL, call.tool_name or "")
    if not progress.visible:
        return Empty()
    open_kinds = [block.kind for block in progress.open.values()]
    return Cut(open_kinds[-1] if open_kinds else BlockKind.TEXT)


def _cut_calls(progress: Progress) -> Iterator[Block]:
    """Tool calls that are open, or were when the stream began again."""
    for block in (*progress.open.values(), *progress.torn):
        if block.kind is BlockKind.TOOL:
            yield block


def after_cut(
    cut: Cut | Empty, cause: str, target: Target, *, can_continue: bool
) -> Repair | Fail | Continue:
    """What follows a cut.

    `cause`: a message for the in-band error; `can_continue`: a continuation is possible.
    """
    mode = _mode(cut, target.terms)
    if mode is OnTruncation.CONTINUE and can_continue:
        return Continue()
    in_call = isinstance(cut, Cut) and cut.place is BlockKind.TOOL
    if isinstance(cut, Empty) or mode is OnTruncation.ERROR:
        return Fail(_message(cut, cause))
    if in_call and not target.no_half_calls and mode is not OnTruncation.REPAIR:
        return Fail(_message(cut, cause))
    return Repair()


def _mode(cut: Cut | Empty, terms: Terms) -> OnTruncation:
    """What "auto" comes to for a cut in text is a fact of the client; in a tool call it stays "auto"."""
    in_call = isinstance(cut, Cut) and cut.place is BlockKind.TOOL
    if terms.on_truncation is not OnTruncation.AUTO or in_call:
        return terms.on_truncation
    return terms.cut_text


def _message(cut: Cut | Empty, cause: str) -> str:
    if isinstance(cut, Cut) and cut.place is BlockKind.TOOL:
        return f"the answer was cut inside the tool call {cut.tool!r} ({cause}); do not run the partial call"
    return f"the answer was cut ({cause})"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a committed answer ends."""

    outcome: Outcome
    """What the attempt came to."""
    end: str
    """In one word, for the record."""
    detail: str = ""
    """A message for a reader of the record."""
    parts: Sequence[StreamPart] = ()
    """What closes the answer for the client."""


TRUNCATED = "truncated"
"""How an answer ended that was cut and closed as such."""

COMPLETED = Ending(Completed(), "completed")
"""Of an answer whose last frame came, and no error: nothing of it is to be judged, or closed."""

PROXY_STOPPED = "the proxy was stopped before the answer was over: ask again"

STOPPED = Ending(
    Abandoned(), "failed", f"{PROXY_STOPPED}; ended with an error", repair.failing(PROXY_STOPPED)
)
"""Of an answer that the proxy could not wait for."""


def ending(
    found: Completeness,
    progress: Progress,
    otherwise: Outcome,
    target: Target,
    now: float,
    *,
    streamed: bool,
    can_continue: bool = False,
) -> Ending | Continue:
    """The end of an answer that came so far, and that ended as `found` says.

    `otherwise`: what it came to if it is cut; `streamed`: it came as a stream, and so lacks the last frame if
    that did not come; `can_continue`: it is cut, and the rest can be asked for; `now`: epoch seconds.
    """
    match found:
        case Failed(error=error):
            return errored(error, target.errors, now)
        case Complete():
            return replace(COMPLETED, parts=formality(progress) if streamed else ())
        case Cut() | Empty():
            detail = otherwise.label
            decision = after_cut(found, detail, target, can_continue=can_continue)
            return decision if isinstance(decision, Continue) else _closed(decision, progress, otherwise)
        case _:
            assert_never(found)


def formality(progress: Progress) -> tuple[StreamPart, ...]:
    """What a stream that said it was done still lacks: its last frame."""
    return () if progress.ended else (StreamEnd(),)


def _closed(decision: Repair | Fail, progress: Progress, outcome: Outcome) -> Ending:
    match decision:
        case Repair():
            detail = f'cut: {outcome.label}; ended with finish_reason "length"'
            return Ending(outcome, TRUNCATED, detail, repair.closing(progress))
        case Fail(message=message):
            return Ending(outcome, "failed", f"{message}; ended with an error", repair.failing(message))
        case _:
            assert_never(decision)


def with_left_out(detail: str, names: Sequence[str]) -> str:
    """`detail`, and the tool calls that the client was spared."""
    cut = [f"the tool call {name!r} was cut and left out" for name in names]
    return "; ".join([detail, *cut] if detail else cut)


def errored(error: StreamError, errors: ErrorFacts, now: float, parts: Sequence[StreamPart] = ()) -> Ending:
    """`now`: epoch seconds."""
    return Ending(classify.in_band(error, errors, now), "error", message_of(error), parts)
