"""Answers of other protocols written as Chat's: a stream of chunks, or a whole body."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import assert_never

from protocols.framing.sse import DONE, write_event
from protocols.model.call import Call, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    ChoiceStart,
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
from protocols.model.progress import Block, Progress
from protocols.model.wirejson import JsonObject, dump, given, object_at
from protocols.openai_chat.answer_write_deltas import Deltas, message_of
from protocols.openai_chat.error_words import FINISH_WORDS, error_object
from protocols.openai_chat.request_read import older_form

DONE_EVENT = b"data: " + DONE + b"\n\n"
_HEAD: JsonObject = {"role": "assistant", "content": ""}


def resumed_writer(call: Call, progress: Progress) -> "ChatWriter":
    """More chunks come with the stream's own id, model and creation time."""
    head = progress.head.template if progress.head else {}
    choices = {choice: resumed_deltas(choice, progress, call) for choice in progress.seen}
    return ChatWriter(call, head, choices)


def resumed_deltas(choice: int, progress: Progress, call: Call) -> Deltas:
    """The deltas of a choice that the client has seen `progress` of."""
    older = older_form(call.body)
    return Deltas.resumed([block for block in progress.ordered if block.start.choice == choice], older=older)


class ChatWriter:
    """A stream of chunks. Usage comes in a chunk of its own, if the client asked for it."""

    def __init__(
        self, call: Call, head: JsonObject, choices: Mapping[int, Deltas] = MappingProxyType({})
    ) -> None:
        """`head`: the fields that every chunk repeats; `choices`: those that have begun."""
        self._counts = object_at(call.body, "stream_options").get("include_usage") is True
        self._older = older_form(call.body)
        self._head = head
        self._choices = dict(choices)
        self._usage: Usage | None = None
        self._over = False

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        return b"".join(chunk for part in parts for chunk in self._write(part))

    def _write(self, part: StreamPart) -> Iterator[bytes]:
        if self._over:
            return
        match part:
            case ChoiceStart(choice=choice):
                yield from self._started(choice)
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                yield from self._started(part.choice)
                for delta in self._choices[part.choice].of(part):
                    yield self._chunk(part.choice, delta)
            case Finish():
                yield from self._finish(part)
            case UsageReport(usage=usage):
                self._usage = self._usage.updated(usage) if self._usage else usage
            case StreamError(type=kind, message=message, status=status):
                yield self._error(kind, message, status)
            case StreamEnd():
                yield from self._end()
            case MessageStart() | Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _started(self, choice: int) -> Iterator[bytes]:
        if choice not in self._choices:
            self._choices[choice] = Deltas(older=self._older)
            yield self._chunk(choice, _HEAD)

    def _chunk(self, choice: int, delta: JsonObject, finish: str | None = None) -> bytes:
        entry = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish}
        return write_event({**self._head, "choices": [entry], **({"usage": None} if self._counts else {})})

    def _finish(self, finish: Finish) -> Iterator[bytes]:
        if finish.reason is FinishReason.ERROR:
            yield self._error("server_error", f"the model's answer failed: {finish.native or 'error'}", None)
            return
        yield from self._started(finish.choice)
        deltas = self._choices[finish.choice]
        for delta in deltas.remainder():
            yield self._chunk(finish.choice, delta)
        yield self._chunk(finish.choice, {}, _word(finish.reason, deltas))

    def _error(self, kind: str, message: str, status: int | None) -> bytes:
        self._over = True
        return write_event({"error": error_object(kind, message, status or 500)})

    def _end(self) -> Iterator[bytes]:
        self._over = True
        if self._counts and self._usage:
            yield write_event({**self._head, "choices": [], "usage": usage_object(self._usage)})
        yield DONE_EVENT


def write_answer(call: Call, reply: Reply, progress: Progress) -> bytes:
    """A ChatCompletion with all choices."""
    older = older_form(call.body)
    choices = [_whole_choice(choice, progress, older) for choice in sorted(progress.seen) or [0]]
    usage = usage_object(progress.usage) if progress.usage else None
    return dump({**_named(reply, "chat.completion"), "choices": choices, **given(usage=usage)})


def _whole_choice(choice: int, progress: Progress, older: bool) -> JsonObject:
    deltas = Deltas(older=older)
    blocks = [block for (of, _), block in sorted(progress.blocks.items(), key=_place) if of == choice]
    found = [delta for block in blocks for part in block.parts() for delta in deltas.of(part)]
    message = message_of([*found, *deltas.remainder()])
    finish = progress.finished.get(choice)
    word = _word(finish.reason if finish else FinishReason.OTHER, deltas)
    return {"index": choice, "message": message, "logprobs": None, "finish_reason": word}


def _place(item: tuple[tuple[int, int], Block]) -> tuple[int, int]:
    return item[0]


def writer(call: Call, reply: Reply) -> ChatWriter:
    return ChatWriter(call, _named(reply, "chat.completion.chunk"))


def _named(reply: Reply, kind: str) -> JsonObject:
    named = {"created": reply.created, "model": reply.model}
    return {"id": reply.named("chatcmpl-"), "object": kind, **named}


def _word(reason: FinishReason, deltas: Deltas) -> str:
    """Any reason that has no word here is the end, of a call if there was one."""
    if reason is FinishReason.TOOL_CALLS or (reason is FinishReason.OTHER and deltas.calls):
        return "function_call" if deltas.older else "tool_calls"
    return FINISH_WORDS.get(reason, "stop")


def usage_object(usage: Usage) -> JsonObject:
    """Inclusive counts, as OpenAI's; details only where they are known. Cache writes by OpenRouter's name."""
    prompt, completion = usage.input or 0, usage.output or 0
    read = given(cached_tokens=usage.cache_read, cache_write_tokens=usage.cache_write)
    made = given(reasoning_tokens=usage.reasoning)
    counts = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    details = given(prompt_tokens_details=read or None, completion_tokens_details=made or None)
    return {**counts, **details}
