"""The parts that close an answer whose stream did not, and those that turn it into an error."""

from dataclasses import replace

from protocols.model.parts import BlockStop, Finish, FinishReason, StreamEnd, StreamError, StreamPart
from protocols.model.progress import Progress
from rewrite.translation.error_kinds import message_of


def closing(progress: Progress) -> tuple[StreamPart, ...]:
    """Every open block stops, every unfinished choice ends with "length". Finished ones are left alone."""
    stops = tuple(BlockStop(choice, index) for choice, index in progress.open)
    finishes = tuple(Finish(choice, FinishReason.LENGTH, "") for choice in progress.unfinished)
    return (*stops, *finishes, StreamEnd())


def raising(error: StreamError) -> tuple[StreamPart, ...]:
    """The provider's own error once more, in the form that the protocol's clients raise on."""
    kind = error.type or "upstream_error"
    return (replace(error, type=kind, message=message_of(error), native=True),)


def failing(message: str) -> tuple[StreamPart, ...]:
    return (StreamError("upstream_cut", message),)
