"""The chunks of a stream put together as the answer that would have come whole.

Measured: texts and thoughts continue from chunk to chunk; a signature stands on the part that it signs, at
times on an empty text, and is to come back on it; a call comes whole or as `partialArgs`; usage is
cumulative.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.gemini_generate.answer_read_arguments import PartialArguments
from protocols.model.wirejson import (
    JsonObject,
    beside,
    count_at,
    encoded,
    grown,
    load_object,
    object_at,
    objects_at,
    text_at,
)

_ENVELOPE = "response"
_INNER = frozenset({"candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"})
_JOINED = frozenset({"text", "thought"})
_OF_CANDIDATE = frozenset(
    {"content", "citationMetadata", "groundingMetadata", "logprobsResult", "finishReason"}
)
_PARTIAL = ("partialArgs", "willContinue")
_UNSAID = "FINISH_REASON_UNSPECIFIED"


class GeminiFold:
    """See `protocols.base.Fold`. Code Assist's envelope stays around the answer."""

    def __init__(self) -> None:
        self._outer: dict[str, object] | None = None
        self._top: dict[str, object] = {}
        self._usage: JsonObject = {}
        self._candidates: dict[int, _Candidate] = {}

    def feed(self, event: JsonObject, name: str = "") -> None:
        chunk = event
        if not event.keys() & _INNER and isinstance(event.get(_ENVELOPE), dict):
            self._outer = {**(self._outer or {}), **beside(event, (_ENVELOPE,))}
            chunk = object_at(event, _ENVELOPE)
        self._top |= beside(chunk, ("candidates", "usageMetadata"))
        self._usage = object_at(chunk, "usageMetadata") or self._usage
        for candidate in objects_at(chunk, "candidates"):
            number = count_at(candidate, "index") or 0
            self._candidates.setdefault(number, _Candidate()).feed(candidate)

    def whole(self, *, done: bool) -> JsonObject | None:
        """Where the prompt was refused, there are no candidates."""
        if not (self._candidates or "promptFeedback" in self._top):
            return None
        found = [self._candidates[number].whole(done=done) for number in sorted(self._candidates)]
        usage = {"usageMetadata": self._usage} if self._usage else {}
        answer = {**({"candidates": found} if found else {}), **usage, **self._top}
        return answer if self._outer is None else {**self._outer, _ENVELOPE: answer}


@dataclass(slots=True)
class _Call:
    """A function call whose arguments came piece by piece; `part`: the part that it began as."""

    part: JsonObject
    arguments: PartialArguments
    open: bool = True

    @property
    def given(self) -> JsonObject | None:
        """None: pieces of them have no place, so that nobody knows what they are."""
        return load_object(encoded(self.arguments.whole()))

    def whole(self) -> JsonObject:
        call = beside(object_at(self.part, "functionCall"), _PARTIAL)
        return {**self.part, "functionCall": {**call, "args": self.given}}


@dataclass(slots=True)
class _Candidate:
    fields: dict[str, object] = field(default_factory=dict)
    content: dict[str, object] = field(default_factory=dict)
    parts: list["JsonObject | _Call"] = field(default_factory=list)
    citations: dict[str, object] = field(default_factory=dict)
    grounding: dict[str, object] = field(default_factory=dict)
    logprobs: dict[str, object] = field(default_factory=dict)
    reason: str = ""

    def feed(self, candidate: JsonObject) -> None:
        self.fields |= beside(candidate, _OF_CANDIDATE)
        self.content |= beside(object_at(candidate, "content"), ("parts",))
        self.citations = grown(self.citations, object_at(candidate, "citationMetadata"))
        self.grounding |= beside(object_at(candidate, "groundingMetadata"))
        self.logprobs = grown(self.logprobs, object_at(candidate, "logprobsResult"))
        for part in objects_at(object_at(candidate, "content"), "parts"):
            self._part(part)
        word = text_at(candidate, "finishReason")
        self.reason = word if word and word != _UNSAID else self.reason

    def _part(self, part: JsonObject) -> None:
        last = self.parts[-1] if self.parts else None
        call = object_at(part, "functionCall")
        if isinstance(part.get("functionCall"), dict) and not call.get("name"):
            self._more(call)
            return
        if isinstance(last, _Call):
            last.open = False
        if any(name in call for name in _PARTIAL):
            self._begin(part, call)
        elif isinstance(last, dict) and _continues(last, part):
            self.parts[-1] = {**last, "text": text_at(last, "text") + text_at(part, "text")}
        else:
            self.parts.append(part)

    def _begin(self, part: JsonObject, call: JsonObject) -> None:
        begun = _Call(part, PartialArguments())
        begun.arguments.begin(call.get("args"))
        self.parts.append(begun)
        self._more(call)

    def _more(self, call: JsonObject) -> None:
        """A part without a name continues the call before it; an empty one ends it."""
        last = self.parts[-1] if self.parts else None
        if isinstance(last, _Call) and last.open:
            last.arguments.add(objects_at(call, "partialArgs"))
            last.open = call.get("willContinue") is True

    def whole(self, *, done: bool) -> JsonObject:
        """Measured: the part that ends a call may be missing where the candidate stops."""
        parts = list(self._whole_parts(ended=self.reason == "STOP"))
        torn = len(parts) < len(self.parts)
        parts = [part for part in parts if len(parts) == 1 or not _says_nothing(part)]
        reason = self.reason or ("STOP" if done else "MAX_TOKENS")
        if torn and reason == "STOP":
            reason = "MALFORMED_FUNCTION_CALL"
        content = {"role": "model", **self.content, "parts": parts}
        lists = {
            "citationMetadata": self.citations,
            "groundingMetadata": self.grounding,
            "logprobsResult": self.logprobs,
        }
        said = {name: value for name, value in lists.items() if value}
        return {"content": content, "finishReason": reason, **self.fields, **said}

    def _whole_parts(self, *, ended: bool) -> Iterator[JsonObject]:
        for part in self.parts:
            if not isinstance(part, _Call):
                yield part
            elif (ended or not part.open) and part.given is not None:
                yield part.whole()


def _continues(last: JsonObject, part: JsonObject) -> bool:
    """Text after text, thought after thought; what is signed stays by itself."""
    plain = last.keys() <= _JOINED and part.keys() <= _JOINED
    return plain and (last.get("thought") is True) == (part.get("thought") is True)


def _says_nothing(part: JsonObject) -> bool:
    return part.keys() <= _JOINED and not part.get("text")
