"""The chunks of a stream put together as the answer that would have come whole.

Measured: usage comes in a chunk of its own, in the finish chunk or in each, cumulative, and at times as null
after the last one; ids and model are empty in Azure's preamble; Perplexity repeats the whole message beside
each delta; Mistral's content may be a list, and its padding is named `p`.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from protocols.model.parts import CUT_SHORT, ToolKind
from protocols.model.wirejson import JsonObject, beside, grown, object_at, objects, objects_at, text_at
from protocols.openai_chat.answer_read import finish_of
from protocols.openai_chat.error_words import FINISH_REASONS
from protocols.openai_chat.reasoning import Details
from protocols.openai_chat.tool_keys import ToolKeys, tool_kind
from protocols.shared.arguments import is_complete, text_of, within

_FIRST = ("id", "model", "created")
_NOISE = frozenset({"obfuscation", "p", "choices", "usage", "error", "object"})
_OF_CHOICE = frozenset({"index", "delta", "message", "logprobs", "finish_reason"})
_TEXTS = ("refusal", "reasoning_content", "reasoning")
_OF_MESSAGE = frozenset(
    {"content", "tool_calls", "function_call", "reasoning_details", "audio", "annotations", "images", *_TEXTS}
)


class ChatFold:
    """See `protocols.base.Fold`."""

    def __init__(self) -> None:
        self._top: dict[str, object] = {}
        self._usage: JsonObject = {}
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: JsonObject, name: str = "") -> None:
        self._top |= beside(event, _NOISE | {key for key in _FIRST if self._top.get(key)})
        usage = object_at(event, "usage") or object_at(object_at(event, "x_groq"), "usage")
        self._usage = usage or self._usage
        for choice in objects_at(event, "choices"):
            index = choice.get("index")
            number = index if isinstance(index, int) else 0
            self._choices.setdefault(number, _Choice(number)).feed(choice)

    def whole(self, *, done: bool) -> JsonObject | None:
        if not self._choices:
            return None
        choices = [self._choices[number].whole(done=done) for number in sorted(self._choices)]
        usage = {"usage": self._usage} if self._usage else {}
        return {**self._top, "object": "chat.completion", "choices": choices, **usage}


@dataclass(slots=True)
class _Call:
    """A tool call, or the one of the older form; `pieces`: of what it asks for."""

    kind: ToolKind = ToolKind.FUNCTION
    fields: dict[str, object] = field(default_factory=dict)
    named: dict[str, object] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    def feed(self, tool: JsonObject) -> None:
        said = object_at(tool, tool_kind(tool).value)
        self.kind = tool_kind(tool) if said or not self.named else self.kind
        self.fields |= _said(tool, {"index", "function", "custom"})
        self.named |= _said(said, {"arguments", "input"})
        self.pieces.append(text_of(said.get("arguments")) or text_at(said, "input"))

    def is_whole(self, *, done: bool) -> bool:
        """Of free text only the end of the stream says that it is."""
        text = "".join(self.pieces)
        return done if self.kind is ToolKind.CUSTOM else is_complete(text, done=done)

    def function(self, *, done: bool) -> JsonObject:
        """`done`: nothing was cut off, so that no arguments at all are an empty object."""
        text = "".join(self.pieces)
        if self.kind is ToolKind.CUSTOM:
            return {**self.named, "input": text}
        return {**self.named, "arguments": within(text) if done else text}

    def whole(self, *, done: bool) -> JsonObject:
        return {"type": self.kind.value, **self.fields, self.kind.value: self.function(done=done)}


@dataclass(slots=True)
class _Message:
    fields: dict[str, object] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    content: list[object] = field(default_factory=list)
    details: Details = field(default_factory=Details)
    audio: dict[str, object] = field(default_factory=dict)
    sounds: list[str] = field(default_factory=list)
    lists: dict[str, list[JsonObject]] = field(default_factory=dict)
    keys: ToolKeys = field(default_factory=ToolKeys)
    calls: dict[object, _Call] = field(default_factory=dict)
    older: _Call | None = None

    def feed(self, delta: JsonObject) -> None:
        self.fields |= _said(delta, _OF_MESSAGE)
        for name in _TEXTS:
            if name in delta:
                self.texts.setdefault(name, []).append(text_at(delta, name))
        self._content(delta.get("content"))
        for item in objects_at(delta, "reasoning_details"):
            self.details.add(item)
        for name in ("annotations", "images"):
            known = self.lists.setdefault(name, [])
            known += [each for each in objects_at(delta, name) if each not in known]
        self._sound(object_at(delta, "audio"))
        self._calls(delta)

    def _content(self, content: object) -> None:
        if isinstance(content, str) and content:
            self.content.append(content)
        elif isinstance(content, list):
            self.content += objects(content)

    def _sound(self, audio: JsonObject) -> None:
        spoken = text_at(self.audio, "transcript") + text_at(audio, "transcript")
        self.audio |= beside(audio, {"data"})
        self.sounds += [text_at(audio, "data")] if text_at(audio, "data") else []
        if spoken:
            self.audio["transcript"] = spoken

    def _calls(self, delta: JsonObject) -> None:
        for tool in objects_at(delta, "tool_calls"):
            self.calls.setdefault(self.keys.of(tool), _Call()).feed(tool)
        if function := object_at(delta, "function_call"):
            self.older = self.older or _Call()
            self.older.feed({"function": function})

    # -- whole ------------------------------------------------------------------------------------------

    def supplied(self, *, done: bool) -> str:
        """The finish of a choice that has none of its own."""
        calls = [*self.calls.values(), *([self.older] if self.older else [])]
        if not done or not all(call.is_whole(done=True) for call in calls):
            return "length"
        if self.older:
            return "function_call"
        return "tool_calls" if calls else "stop"

    def whole(self, *, done: bool, half: bool) -> JsonObject:
        """`half`: its provider ended it, so that calls are given as they are."""
        calls = [call.whole(done=done) for call in self.calls.values() if half or call.is_whole(done=done)]
        older = self.older if self.older and (half or self.older.is_whole(done=done)) else None
        message: dict[str, object] = {"role": "assistant", "content": self._text(bool(calls or older))}
        message |= {name: "".join(texts) or None for name, texts in self.texts.items()}
        message |= self.fields
        message |= {name: found for name, found in self.lists.items() if found}
        message |= {"reasoning_details": self.details.items} if self.details.items else {}
        message |= {"tool_calls": calls} if calls else {}
        message |= {"function_call": older.function(done=done)} if older else {}
        return message | ({"audio": self._heard()} if self.audio or self.sounds else {})

    def _text(self, called: bool) -> object:
        """None where a call or nothing at all takes its place; a list only where one came."""
        if any(not isinstance(each, str) for each in self.content):
            return _items(self.content)
        text = "".join(each for each in self.content if isinstance(each, str))
        instead = called or self.audio or any(self.texts.get("refusal", ()))
        return text or (None if instead else "")

    def _heard(self) -> JsonObject:
        return {**self.audio, "data": _joined(self.sounds)}


@dataclass(slots=True)
class _Choice:
    number: int
    fields: dict[str, object] = field(default_factory=dict)
    logprobs: dict[str, object] = field(default_factory=dict)
    reason: str = ""
    message: _Message = field(default_factory=_Message)

    def feed(self, choice: JsonObject) -> None:
        self.fields |= beside(choice, _OF_CHOICE)
        self.logprobs = grown(self.logprobs, object_at(choice, "logprobs"))
        self.reason = text_at(choice, "finish_reason") or self.reason
        self.message.feed(object_at(choice, "delta"))

    def whole(self, *, done: bool) -> JsonObject:
        """A finish that is missing is ours, and "length" where another one hides that it was cut short. Then
        no call is given that is not whole."""
        honest = FINISH_REASONS.get(self.reason) in CUT_SHORT
        known = finish_of(self.reason, self.fields.get("native_finish_reason"))
        ended = (done or bool(self.reason)) and known not in CUT_SHORT
        ours = self.message.supplied(done=ended)
        reason = ours if not self.reason or (ours == "length" and not honest) else self.reason
        message = self.message.whole(done=ended, half=honest)
        choice = {"index": self.number, **self.fields, "message": message}
        return {**choice, "logprobs": self.logprobs or None, "finish_reason": reason}


def _said(fields: JsonObject, without: Iterable[str]) -> dict[str, object]:
    """Fields of a fragment; one that is empty says nothing: ids and names come late, or once."""
    return {name: value for name, value in beside(fields, without).items() if value != ""}


def _items(content: Iterable[object]) -> list[JsonObject]:
    """Pieces of text, bare or as items, and of thinking, each run as one item."""
    found: list[JsonObject] = []
    for each in content:
        item: JsonObject = each if isinstance(each, dict) else {"type": "text", "text": each}
        last = found[-1] if found else {}
        if text_at(item, "type") == text_at(last, "type") and text_at(item, "type") in ("text", "thinking"):
            found[-1] = _grown(last, item)
        else:
            found.append(item)
    return [_thought(item) for item in found]


def _grown(last: JsonObject, item: Mapping[str, object]) -> JsonObject:
    if text_at(item, "type") == "text":
        return {**last, **item, "text": text_at(last, "text") + text_at(item, "text")}
    return {**last, **item, "thinking": [*objects_at(last, "thinking"), *objects_at(item, "thinking")]}


def _thought(item: JsonObject) -> JsonObject:
    inner = objects_at(item, "thinking")
    return {**item, "thinking": _items(inner)} if inner else item


def _joined(pieces: Iterable[str]) -> str:
    """Sound whose pieces are base64 each by itself; or one that was cut anywhere."""
    texts = list(pieces)
    try:
        return base64.b64encode(b"".join(base64.b64decode(text, validate=True) for text in texts)).decode()
    except binascii.Error:
        return "".join(texts)
