"""Parts of any provider in the order that any client's protocol can be written in.

Providers interleave parallel calls, repeat their finish, number blocks as they like, forget a finish or a
last frame. After the `Sequencer` each choice has one block open at a time, numbered from 0 (see
`block_order`); finishes and usage come once, at the end; an error is the last thing. Nothing that a
client can show is held, except a second tool call while the first one is still being written, and calls
that are held on request.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import assert_never

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    ChoiceStart,
    ErrorKind,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from rewrite.translation.block_order import CallRules, ChoiceSequencer

_BEGAN_AGAIN = "the provider began its answer again in the middle of it"
_NO_ARGUMENTS = "the provider ended the tool call {name!r} without whole arguments"


class Sequencer:
    """Stateful; one for each answer. `error`: what an error of upstream's becomes."""

    def __init__(
        self, head: MessageStart, rules: CallRules, error: Callable[[StreamError], StreamError]
    ) -> None:
        self._head, self._rules, self._error = head, rules, error
        self._started = self._shown = self._over = False
        self._choices: dict[int, ChoiceSequencer] = {}
        self._usage: Usage | None = None

    @property
    def complete(self) -> bool:
        """Upstream said that every choice it began is done."""
        return bool(self._choices) and all(one.finish for one in self._choices.values())

    @property
    def left_out(self) -> list[str]:
        """The names of held calls that the client did not get."""
        return [name for one in self._choices.values() for name in one.left_out]

    @property
    def under_way(self) -> bool:
        return not self._over and any(one.waiting for one in self._choices.values())

    def closing(self, parts: Iterable[StreamPart]) -> list[StreamPart]:
        """The parts that close a cut answer, with what upstream had said already: usage, some finishes."""
        said = {choice: one.finished(done=False) for choice, one in self._choices.items()}
        closed = [(said.get(p.choice) or p) if isinstance(p, Finish) else p for p in parts]
        return [UsageReport(self._usage), *closed] if self._usage else closed

    def feed(self, parts: Iterable[StreamPart]) -> list[StreamPart]:
        """The parts that go to the client for these of upstream's."""
        found: list[StreamPart] = []
        for part in parts:
            if not (self._over or self._beyond(part)):
                found.extend(self._feed(part))
        return found

    def _beyond(self, part: StreamPart) -> bool:
        """Whether it belongs to a choice that the client did not ask for, and has no place for."""
        choice = getattr(part, "choice", 0)
        return isinstance(choice, int) and choice >= self._rules.choices

    def end(self, *, done: bool = False) -> list[StreamPart]:
        """Upstream gives no more. Closed properly if it was complete, or is `done`; else nothing."""
        if self._over or not (done or self.complete):
            return []
        return list(self._end(done=done))

    def cut(self) -> list[StreamPart]:
        """Upstream broke off. What waits and is whole goes out, calls that the client wants so among it."""
        choices = () if self._over else self._choices.values()
        return [part for choice in choices for part in choice.cut()]

    def _feed(self, part: StreamPart) -> Iterator[StreamPart]:
        match part:
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                yield from self._block(part)
            case MessageStart():
                yield from self._message(part)
            case ChoiceStart(choice=choice):
                yield from self._begin(choice)
            case Finish(choice=choice):
                yield from self._begin(choice)
                self._choices[choice].finish = part
            case UsageReport(usage=usage):
                self._usage = self._usage.updated(usage) if self._usage else usage
            case StreamEnd():
                yield from self._end(done=True)
            case StreamError():
                yield from self._failed(part)
            case Ping() | Opaque():
                yield part
            case _:
                assert_never(part)

    def _message(self, part: MessageStart) -> Iterator[StreamPart]:
        """A second start is an upstream that began again: never two answers glued together."""
        if self._shown:
            yield from self._failed(StreamError("upstream_cut", _BEGAN_AGAIN))
            return
        if self._started:
            self._choices = {number: ChoiceSequencer(number, self._rules) for number in self._choices}
        self._head = replace(self._head, model=self._head.model or part.model)

    def _begin(self, choice: int) -> Iterator[StreamPart]:
        if not self._started:
            self._started = True
            yield self._head
            if self._usage:
                yield UsageReport(self._usage)
        if choice not in self._choices:
            self._choices[choice] = ChoiceSequencer(choice, self._rules)
            yield ChoiceStart(choice)

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[StreamPart]:
        yield from self._begin(part.choice)
        choice = self._choices[part.choice]
        self._shown = self._shown or isinstance(part, BlockStart | BlockDelta)
        match part:
            case BlockDelta():
                yield from choice.delta(part)
            case BlockStart():
                yield from choice.start(part)
            case BlockStop():
                yield from choice.stop(part)
            case Annotation():
                yield from choice.annotation(part)
            case _:
                assert_never(part)

    def _failed(self, error: StreamError) -> Iterator[StreamPart]:
        self._over = True
        yield self._error(error)

    def _end(self, *, done: bool) -> Iterator[StreamPart]:
        yield from self._begin(0) if not self._choices else ()
        for choice in self._choices.values():
            yield from choice.end()
        half = next((one.half_a_call for one in self._choices.values() if one.half_a_call is not None), None)
        if half is not None:
            yield from self._failed(StreamError("upstream_cut", _NO_ARGUMENTS.format(name=half)))
        elif failed := self._failure():
            yield from self._failed(failed)
        else:
            yield from self._finishes(done=done)

    def _failure(self) -> StreamError | None:
        """A finish that is none: some providers have a finish reason in the place of an error."""
        finishes = (choice.finish for choice in self._choices.values())
        failed = (one for one in finishes if one and one.reason is FinishReason.ERROR)
        words = next((f"{one.native} {one.detail}".strip() for one in failed), None)
        if words is None:
            return None
        return StreamError(ErrorKind.SERVER, f"the provider ended its answer with an error: {words}")

    def _finishes(self, *, done: bool) -> Iterator[StreamPart]:
        self._over = True
        for choice in self._choices.values():
            yield from choice.settle(whole=choice.calls_done)
        if self._usage:
            yield UsageReport(self._usage)
        for choice in self._choices.values():
            if (finish := choice.finished(done=done)) is not None:
                yield finish
        yield StreamEnd()
