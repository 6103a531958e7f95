"""reasoning_field: reasoning in the field of openai_chat that the client reads.

`to`: "reasoning_content" (the default; DeepSeek, Qwen, Moonshot, z.ai, xAI), "reasoning" (OpenRouter, Groq,
Cerebras), or "inline": at the start of the content, between <think> and </think>. It is taken from whichever
of the three the provider uses, in the deltas of a stream, where a tag may be cut anywhere, and in whole
messages. A <think> counts only where the content begins with it and no field has given reasoning before; one
that never ends was reasoning to the end. No character is added or lost but the tags.

Loses, with "inline": the border between reasoning and content, where the reasoning itself has a </think>.
Reasoning that comes after the content began stays in its field then, for no tag would count there. Left
alone: signed or encrypted reasoning (`reasoning_details`), Mistral's content in arrays, and requests, so
that a client's own history goes back in the form that it keeps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from protocols.model.wirejson import JsonObject, count_at, object_at, text_at
from rewrite.adapters.base import Context, Events, Factory, Options, Unchanged
from rewrite.fields.paths import changed_at

OPEN, CLOSE = "<think>", "</think>"
_FIELDS = ("reasoning_content", "reasoning")
_TO = (*_FIELDS, "inline")
_HEAD = ("id", "object", "created", "model", "system_fingerprint")
_AFTER_REASONING = ("content", "tool_calls", "function_call", "refusal", "audio")


class Converter(Protocol):
    """The deltas of one choice, in order, to those in their place."""

    def convert(self, delta: JsonObject, *, finished: bool) -> JsonObject:
        """`finished`: no more come; a whole message is one such delta. The same object: untouched."""
        ...

    def remainder(self) -> JsonObject:
        """A delta of what is held back when the stream ends without a finish; empty: nothing is."""
        ...


class _Place(Enum):
    START = "start"
    REASONING = "reasoning"
    ANSWER = "answer"


class ThinkSplitter:
    """The content of one choice, in pieces, to (reasoning, answer); holds back what may be half a tag."""

    def __init__(self) -> None:
        self._place = _Place.START
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        text, self._held = self._held + text, ""
        if self._place is _Place.START and text:
            text = self._start(text)
        if self._place is _Place.REASONING:
            return self._reasoning(text)
        return "", text

    def _start(self, text: str) -> str:
        """What is left of `text` when it is known whether the content begins with a tag."""
        if text.startswith(OPEN):
            self._place = _Place.REASONING
            return text.removeprefix(OPEN)
        if OPEN.startswith(text):
            self._held = text
            return ""
        self._place = _Place.ANSWER
        return text

    def _reasoning(self, text: str) -> tuple[str, str]:
        reasoning, closed, answer = text.partition(CLOSE)
        if closed:
            self._place = _Place.ANSWER
            return reasoning, answer
        held = next((size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0)
        kept = len(text) - held
        self._held = text[kept:]
        return text[:kept], ""

    def flush(self) -> tuple[str, str]:
        """What was held back: half a tag is none. What follows, if anything, is answer."""
        held, self._held = self._held, ""
        place, self._place = self._place, _Place.ANSWER
        return (held, "") if place is _Place.REASONING else ("", held)


class ToField:
    """Reasoning to the field `field`."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._others = tuple(name for name in _FIELDS if name != field)
        self._splitter = ThinkSplitter()

    def convert(self, delta: JsonObject, *, finished: bool) -> JsonObject:
        said, content = _said(delta), text_at(delta, "content")
        before = self._splitter.flush() if said else ("", "")
        pieces = (before, self._splitter.feed(content), self._splitter.flush() if finished else ("", ""))
        reasoning = said + "".join(piece for piece, _ in pieces)
        answer = "".join(piece for _, piece in pieces)
        in_place = (reasoning, answer) == (text_at(delta, self._field), content)
        if in_place and not any(text_at(delta, name) for name in self._others):
            return delta
        return self._written(delta, reasoning, answer)

    def _written(self, delta: JsonObject, reasoning: str, answer: str) -> JsonObject:
        new = dict(_without_reasoning(delta) if reasoning else delta)
        if answer or text_at(delta, "content"):
            new["content"] = answer
        return {**new, self._field: reasoning} if reasoning else new

    def remainder(self) -> JsonObject:
        reasoning, answer = self._splitter.flush()
        if reasoning:
            return {self._field: reasoning}
        return {"content": answer} if answer else {}


class ToInline:
    """Reasoning to the start of the content, between tags."""

    def __init__(self) -> None:
        self._place = _Place.START

    def convert(self, delta: JsonObject, *, finished: bool) -> JsonObject:
        moves = "" if self._place is _Place.ANSWER else _said(delta)
        said = OPEN if moves and self._place is _Place.START else ""
        if moves:
            self._place = _Place.REASONING
        said += moves
        if finished or any(delta.get(field) for field in _AFTER_REASONING):
            said += CLOSE if self._place is _Place.REASONING else ""
            self._place = _Place.ANSWER
        if not said:
            return delta
        kept = _without_reasoning(delta) if moves else delta
        return {**kept, "content": said + text_at(delta, "content")}

    def remainder(self) -> JsonObject:
        """Nothing is held back; a tag that was not closed shows that the reasoning was cut."""
        return {}


def _said(delta: JsonObject) -> str:
    """The reasoning in fields: providers that fill both put the same text in them."""
    texts = [text_at(delta, field) for field in _FIELDS]
    return texts[0] if texts[0] == texts[1] else "".join(texts)


def _without_reasoning(delta: JsonObject) -> JsonObject:
    return {name: value for name, value in delta.items() if name not in _FIELDS}


class Chunks:
    """The chunks of one stream; every choice has a converter of its own."""

    def __init__(self, make: Callable[[], Converter]) -> None:
        self._make = make
        self._converters: dict[int, Converter] = {}
        self._last: JsonObject = {}

    def __call__(self, chunk: JsonObject) -> Sequence[JsonObject]:
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return (chunk,)
        self._last = chunk
        return (changed_at(chunk, ("choices",), self._choice),)

    def _choice(self, choice: JsonObject) -> JsonObject:
        converter = self._converters.setdefault(count_at(choice, "index") or 0, self._make())
        delta = object_at(choice, "delta")
        new = converter.convert(delta, finished=bool(choice.get("finish_reason")))
        return choice if new is delta else {**choice, "delta": new}

    def close(self) -> Sequence[JsonObject]:
        """One chunk with what the choices that never finished still hold back."""
        remainders = [(index, converter.remainder()) for index, converter in self._converters.items()]
        choices = [{"index": at, "delta": delta, "finish_reason": None} for at, delta in remainders if delta]
        head = {name: self._last[name] for name in _HEAD if name in self._last}
        return ({**head, "choices": choices},) if choices else ()


@dataclass(frozen=True, slots=True)
class ReasoningField(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "reasoning_field"
    to: str = "reasoning_content"

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        if context.protocol != "openai_chat":
            return body
        return changed_at(body, ("choices", "message"), self._message)

    def stream(self, context: Context) -> Events | None:
        return Chunks(self._converter) if context.protocol == "openai_chat" else None

    def _message(self, message: JsonObject) -> JsonObject:
        return self._converter().convert(message, finished=True)

    def _converter(self) -> Converter:
        return ToInline() if self.to == "inline" else ToField(self.to)


def _make(options: Options) -> ReasoningField:
    return ReasoningField(options.one_of("to", _TO, "reasoning_content"))


ADAPTER = Factory(ReasoningField.name, _make, ("to",))
