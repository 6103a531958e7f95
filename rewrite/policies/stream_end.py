"""How the stream of an answer ended, told from all that it said."""

from collections.abc import Iterator
from dataclasses import dataclass

from protocols.model.parts import BlockKind, StreamError
from protocols.model.progress import Block, Progress


@dataclass(frozen=True, slots=True)
class Complete:
    """It said that it was done, if perhaps without a last formality."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It said that it failed."""

    error: StreamError


@dataclass(frozen=True, slots=True)
class Empty:
    """It ended without a proper end, and there is nothing that a client could see."""


@dataclass(frozen=True, slots=True)
class Cut:
    """It ended without a proper end, in the middle of `place`; behind a block that was whole it is the text,
    or what else would have come. `tool` is the name of the call that was cut, empty where it had none yet."""

    place: BlockKind
    tool: str = ""


type Verdict = Complete | Failed | Empty | Cut


def verdict(progress: Progress) -> Verdict:
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
    """Tool calls that are open, or were when the stream began anew."""
    for block in (*progress.open.values(), *progress.torn):
        if block.kind is BlockKind.TOOL:
            yield block
