"""Chunks of a stream without some of its tool calls."""

from collections.abc import Container, Iterator, Sequence

from protocols.model.parts import (
    CUT_SHORT,
    BlockDelta,
    BlockKey,
    BlockKind,
    MessageStart,
    StreamPart,
    is_of,
    key_of,
)
from protocols.model.wirejson import JsonObject, count_at, each_at, object_at, objects_at, text_at
from protocols.openai_chat.error_words import FINISH_REASONS

_CALLS = "tool_calls"


class ChunkPruner:
    """See `protocols.base.Pruner`. Each fragment of a call is one delta of its block, in their order; what is
    left of the calls of a choice is numbered without gaps."""

    def __init__(self) -> None:
        self._gone: dict[int, set[int]] = {}

    def prune(
        self,
        event: JsonObject,
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> JsonObject | None:
        choices = objects_at(event, "choices")
        kept = [self._choice(choice, _grown(choice, said), cut) for choice in choices]
        if all(new is old for new, old in zip(kept, choices, strict=True)):
            return event
        return None if all(is_of(part, cut) for part in said) else {**event, "choices": kept}

    def short(self, event: JsonObject, choices: Container[int]) -> JsonObject:
        return each_at(event, "choices", lambda one: _short(one, choices))

    def _choice(self, choice: JsonObject, grown: Iterator[BlockKey], cut: Container[BlockKey]) -> JsonObject:
        delta = object_at(choice, "delta")
        calls = objects_at(delta, _CALLS)
        kept = list(self._kept(calls, count_at(choice, "index") or 0, grown, cut))
        pruned = delta if kept == calls else {**_without(delta, _CALLS), **({_CALLS: kept} if kept else {})}
        if next(grown, None) in cut:
            pruned = _without(pruned, "function_call")
        return choice if pruned is delta else {**choice, "delta": pruned}

    def _kept(
        self,
        calls: Sequence[JsonObject],
        choice: int,
        grown: Iterator[BlockKey],
        cut: Container[BlockKey],
    ) -> Iterator[JsonObject]:
        gone = self._gone.setdefault(choice, set())
        for call in calls:
            if next(grown, None) in cut:
                gone.add(count_at(call, "index") or 0)
            else:
                yield _numbered(call, gone)


def _short(choice: JsonObject, choices: Container[int]) -> JsonObject:
    reason = text_at(choice, "finish_reason")
    honest = not reason or FINISH_REASONS.get(reason) in CUT_SHORT
    known = (count_at(choice, "index") or 0) in choices
    return choice if honest or not known else {**choice, "finish_reason": "length"}


def _without(delta: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in delta.items() if key != name}


def _grown(choice: JsonObject, said: Sequence[StreamPart]) -> Iterator[BlockKey]:
    """The blocks that the fragments of a choice are of."""
    number = count_at(choice, "index") or 0
    grown = (part for part in said if isinstance(part, BlockDelta) and part.kind is BlockKind.TOOL)
    return (key_of(part) for part in grown if part.choice == number)


def _numbered(call: JsonObject, gone: set[int]) -> JsonObject:
    number = count_at(call, "index")
    if number is None or number in gone:  # some providers call every call 0: there is nothing to count by
        return call
    return {**call, "index": number - sum(each < number for each in gone)}
