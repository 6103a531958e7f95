"""Parts to answers of the protocol: the end of a cut stream, a stream for parts of another, a whole answer.

Measured: the Python client checks every line, which needs `message` unless it is an error, and an error must
be a text; it fails on a message with images, so that those of a model have no place. Losses stand in
`losses.ABILITIES`.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

from protocols.framing.ndjson import write_line
from protocols.model.call import Call, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
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
from protocols.model.progress import Block, Progress, updated
from protocols.model.wirejson import NOT_JSON, JsonObject, dump, given
from protocols.ollama_chat.error_words import FINISH_WORDS
from protocols.shared.arguments import value_of, within

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = frozenset({BlockKind.TEXT, BlockKind.REFUSAL})


def _ending(reason: FinishReason, usage: Usage | None, message: JsonObject) -> JsonObject:
    done = {"done": True, "done_reason": FINISH_WORDS[reason]}
    return {"message": {"role": "assistant", "content": "", **message}, **done, **_counts(usage)}


def resumed_writer(_call: Call, progress: Progress) -> "OllamaWriter":
    """More lines come with the stream's own model and time."""
    head = progress.head.template if progress.head else {}
    finish = progress.finished.get(0, Finish(0, FinishReason.LENGTH, ""))
    return OllamaWriter(head, finish, progress.usage)


def writer(_call: Call, reply: Reply) -> "OllamaWriter":
    return OllamaWriter(_named(reply))


class OllamaWriter:
    """A stream of the protocol: a line for each part that shows, a tool call when it is whole."""

    def __init__(self, head: JsonObject, finish: Finish | None = None, usage: Usage | None = None) -> None:
        """`head`: the fields that every line repeats; `finish` and `usage` until others come."""
        self._head = head
        self._call: BlockStart | None = None
        self._arguments: list[str] = []
        self._finish = finish
        self._usage = usage
        self._over = False

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        return b"".join([write_line(line) for part in parts for line in self._write(part)])

    def _write(self, part: StreamPart) -> Iterator[JsonObject]:
        if self._over:
            return
        match part:
            case BlockStart() | BlockDelta() | BlockStop():
                for message in self._block(part):
                    said = {"role": "assistant", "content": "", **message}
                    yield {**self._head, "message": said, "done": False}
            case Finish(choice=0):
                self._finish = part
            case UsageReport(usage=usage):
                self._usage = updated(self._usage, usage)
            case StreamError(message=message):
                yield self._error(message)
            case StreamEnd():
                yield self._end()
            case MessageStart() | ChoiceStart() | Finish() | Annotation() | Ping() | Opaque():
                pass
            case _:
                assert_never(part)

    def _block(self, part: BlockStart | BlockDelta | BlockStop) -> Iterator[JsonObject]:
        match part:
            case BlockStart(kind=BlockKind.TOOL):
                self._call = part
                self._arguments.clear()
            case BlockDelta(kind=BlockKind.TOOL, text=text):
                self._arguments.append(text)
            case BlockDelta(kind=BlockKind.REASONING, text=text) if text:
                yield {"thinking": text}
            case BlockDelta(kind=kind, text=text) if text and kind in _TEXTS:
                yield {"content": text}
            case BlockStop() if self._call:
                call = _tool_call(self._call, "".join(self._arguments))
                self._call = None
                if call is not None:
                    yield {"tool_calls": [call]}
            case _:
                pass

    def _error(self, message: str) -> JsonObject:
        self._over = True
        return {"error": message}

    def _end(self) -> JsonObject:
        self._over = True
        if self._finish and self._finish.reason is FinishReason.ERROR:
            return self._error(_failure(self._finish))
        reason = self._finish.reason if self._finish else FinishReason.OTHER
        return {**self._head, **_ending(reason, self._usage, {})}


def _named(reply: Reply) -> JsonObject:
    """`created_at` in RFC 3339."""
    created = (_EPOCH + timedelta(seconds=reply.created)).isoformat().replace("+00:00", "Z")
    return {"model": reply.model, "created_at": created}


def _failure(finish: Finish) -> str:
    return finish.detail or f"the model's answer failed: {finish.native or 'error'}"


def _tool_call(call: BlockStart, text: str) -> JsonObject | None:
    """A call whose arguments are no JSON was cut, and is left out: the form has no half of one."""
    arguments = value_of(within(text))
    if arguments is NOT_JSON:
        return None
    function = {"name": call.tool_name or "", "arguments": arguments}
    return {**given(id=call.tool_id), "function": function}


def write_answer(_call: Call, reply: Reply, progress: Progress) -> bytes:
    """The body of an answer that is not streamed."""
    finish = progress.finished.get(0)
    if finish and finish.reason is FinishReason.ERROR:
        return dump({"error": _failure(finish)})
    blocks = [progress.blocks[key] for key in sorted(progress.blocks) if key[0] == 0]
    reason = finish.reason if finish else FinishReason.OTHER
    return dump({**_named(reply), **_ending(reason, progress.usage, _message(blocks))})


def _message(blocks: Sequence[Block]) -> JsonObject:
    calls = [_tool_call(block.start, block.text) for block in blocks if block.kind is BlockKind.TOOL]
    more = given(
        thinking="".join(block.text for block in blocks if block.kind is BlockKind.REASONING) or None,
        tool_calls=[call for call in calls if call] or None,
    )
    return {"content": "".join(block.text for block in blocks if block.kind in _TEXTS), **more}


def _counts(usage: Usage | None) -> JsonObject:
    """Loss: tokens of caches and of reasoning are in the two counts, without their own."""
    return given(prompt_eval_count=usage.input, eval_count=usage.output) if usage else {}
