"""Answers of the protocol to parts: the lines of a stream, and whole answers, which are one line.

Measured over recorded streams: thinking comes before the text, a tool call comes whole in a line before the
last, its arguments an object, its id missing from older servers. The last line says `done`, why, and counts
tokens. An error is a line `{"error": "..."}` under status 200.
"""

import re
from collections.abc import Iterator, Sequence

from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    StreamEnd,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.wirejson import (
    JsonObject,
    dump,
    object_at,
    objects_at,
    stream_error,
    text_at,
    texts_at,
    used_at,
)
from protocols.ollama_chat.error_words import FINISH_REASONS
from protocols.shared.arguments import NONE_GIVEN, text_of_value
from protocols.shared.media import image_type
from protocols.shared.signatures import UNSIGNED

LAST = re.compile(rb'"done"\s*:\s*true')
"""By which the last line is guessed."""

_KNOWN = frozenset({"message", "done"})
_TEMPLATE = ("model", "created_at", "remote_model", "remote_host")


class AnswerReader:
    """The lines of one answer to parts; a text or a thought continues until something else comes."""

    def __init__(self) -> None:
        self._index = -1
        self._open: BlockKind | None = None
        self._begun = self._called = False

    def read(self, line: JsonObject) -> Sequence[StreamPart]:
        """The parts of one line; Opaque if it is none of an answer's."""
        if error := line.get("error"):
            return (stream_error(error, native=isinstance(error, str)),)
        return list(self._read(line)) if line.keys() & _KNOWN else (Opaque(dump(line)),)

    def _read(self, line: JsonObject) -> Iterator[StreamPart]:
        if not self._begun:
            self._begun = True
            template = {key: line[key] for key in _TEMPLATE if key in line}
            yield MessageStart("", text_at(line, "model"), template)
            yield ChoiceStart(0)
        yield from self._message(object_at(line, "message"))
        if line.get("done") is True:
            yield from self._done(line)

    def _message(self, message: JsonObject) -> Iterator[StreamPart]:
        yield from self._text(BlockKind.REASONING, text_at(message, "thinking"))
        yield from self._text(BlockKind.TEXT, text_at(message, "content"))
        for image in texts_at(message, "images"):
            yield from self._image(image)
        for call in objects_at(message, "tool_calls"):
            yield from self._tool_call(call)

    def _text(self, kind: BlockKind, text: str) -> Iterator[StreamPart]:
        if not text:
            return
        if self._open is not kind:
            yield from self._close()
            self._index += 1
            self._open = kind
            yield BlockStart(0, self._index, kind)
        yield BlockDelta(0, self._index, kind, text)

    def _image(self, data: str) -> Iterator[StreamPart]:
        yield from self._close()
        self._index += 1
        payload = {"media_type": image_type(data), "data": data}
        yield BlockStart(0, self._index, BlockKind.MEDIA, payload=payload)
        yield BlockStop(0, self._index)

    def _tool_call(self, call: JsonObject) -> Iterator[StreamPart]:
        yield from self._close()
        self._index += 1
        self._called = True
        function = object_at(call, "function")
        name, tool_id = text_at(function, "name") or None, text_at(call, "id") or None
        yield BlockStart(0, self._index, BlockKind.TOOL, tool_id, name)
        yield BlockDelta(
            0, self._index, BlockKind.TOOL, text_of_value(function.get("arguments")) or NONE_GIVEN
        )
        yield BlockStop(0, self._index)

    def _close(self) -> Iterator[StreamPart]:
        if self._open is not None:
            yield BlockStop(0, self._index, UNSIGNED if self._open is BlockKind.REASONING else None)
        self._open = None

    def _done(self, line: JsonObject) -> Iterator[StreamPart]:
        """An end without a reason is one for a reason that is not known: it is not called a stop."""
        yield from self._close()
        word = text_at(line, "done_reason")
        reason = FINISH_REASONS.get(word, FinishReason.OTHER)
        if reason is FinishReason.STOP and self._called:
            reason = FinishReason.TOOL_CALLS
        yield Finish(0, reason, word)
        if usage := _usage(line):
            yield UsageReport(usage)
        yield StreamEnd()


def read_whole(body: JsonObject) -> Sequence[StreamPart]:
    """An answer that is not streamed: of a generation all its blocks, of any other operation its end."""
    if "message" in body or body.get("error"):
        return AnswerReader().read(body)
    usage = _usage(body)
    return (UsageReport(usage), StreamEnd()) if usage else (StreamEnd(),)


def _usage(answer: JsonObject) -> Usage | None:
    """Measured: `prompt_eval_count` is missing where the whole prompt was cached."""
    usage = Usage(input=used_at(answer, "prompt_eval_count"), output=used_at(answer, "eval_count"))
    return None if usage == Usage() else usage
