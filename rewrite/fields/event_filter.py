"""Which events of a stream say anything of its tool calls: rules that join values to calls need no others,
so that the text of an answer, most of its events, is not parsed for them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from rewrite.fields.rule import Mode, Rule, Source

_WORDS: Mapping[str, tuple[bytes, ...]] = {
    "openai_responses": (b"output_item.done", b"response.completed", b"response.incomplete"),
    "anthropic_messages": (
        b"content_block_st",
        b"input_json_delta",
        b"thinking",
        b"signature_delta",
        b"message_st",
    ),
    "gemini_generate": (b"functionCall", b"partialArgs", b"willContinue"),
}
"""By protocol: what stands in events of calls, and of what is thought."""
_FIELDS: Mapping[str, tuple[str, ...]] = {"openai_chat": ("tool_calls",), "ollama_chat": ("tool_calls",)}
"""By protocol: fields that are null in other events."""
_THOUGHT = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Types of what is thought, whose events the words above find."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Finds the events that hold one of some words, or say something in one of some fields."""

    words: tuple[bytes, ...]
    fields: tuple[tuple[bytes, re.Pattern[bytes]], ...]
    """The name of each in quotes, and the field with a value that is not null."""

    def __call__(self, raw: bytes) -> bool:
        """Whether `raw`, an event or several, is to be parsed."""
        for word in self.words:  # for each event of a stream: `any` would take three times as long
            if word in raw:
                return True
        return any(name in raw and field.search(raw) for name, field in self.fields)


def event_filter(rules: Iterable[Rule], protocol: str) -> EventFilter | None:
    """What finds the events of a stream that these rules need to read its answer. None: they need all."""
    reading = [rule for rule in rules if rule.source is Source.RESPONSE]
    if protocol not in _WORDS.keys() | _FIELDS.keys() or not all(map(_is_of_calls, reading)):
        return None
    names = {name for rule in reading for name in _names(rule)}
    return _filter(protocol, frozenset(names))


def _is_of_calls(rule: Rule) -> bool:
    if rule.mode is not Mode.PER_TOOL_CALL:
        return False
    kinds = rule.where.get("type")
    types = {kinds} if isinstance(kinds, str) else {*kinds} if isinstance(kinds, list | tuple) else set()
    return bool(_names(rule)) or (rule.place.before and bool(types) and types <= _THOUGHT)


def _names(rule: Rule) -> list[str]:
    """The key that a path ends with."""
    return [step for step in rule.place.steps if isinstance(step, str)][-1:]


@cache
def _filter(protocol: str, names: frozenset[str]) -> EventFilter:
    fields = (f'"{name}"'.encode() for name in sorted(names | {*_FIELDS.get(protocol, ())}))
    found = tuple((field, re.compile(re.escape(field) + rb"\s*:(?!\s*null)")) for field in fields)
    return EventFilter(_WORDS.get(protocol, ()), found)
