"""What belongs to reasoning in Chat: its text, `reasoning_details`, and the signatures of Google's models.

OpenAI's own answers show none. DeepSeek and others say `reasoning_content`, OpenRouter `reasoning` and a
list `reasoning_details`, which it asks to have back as it was; Google's compatible endpoint signs a tool
call or a message in `extra_content.google.thought_signature`. A signature of another protocol's provider
travels as an encrypted item of that list, the one place that clients of Chat are known to keep: its `id`
says which characters of the reasoning, or which tool call, it stands for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from protocols.model.parts import Signature
from protocols.model.prompt import Thought
from protocols.model.wirejson import (
    JsonObject,
    dump,
    encoded,
    load_object,
    object_at,
    objects_at,
    text_at,
)
from protocols.shared.signatures import ENVELOPE, UNSIGNED, is_envelope

DETAILS, SIGNATURE = "details", "signature"

_SPAN = re.compile(r"reasoning-(\d+)-(\d+)")
_GROWS = ("text", "summary")


# -- reasoning_details ----------------------------------------------------------------------------------


class Details:
    """The items of one choice's `reasoning_details`, put together from fragments by type and index."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, object, str], dict[str, object]] = {}

    def add(self, fragment: JsonObject) -> None:
        """Texts grow, anything else is replaced; encrypted items come whole, each by its own id."""
        kind, index = text_at(fragment, "type"), fragment.get("index")
        whole = text_at(fragment, "id") if kind.endswith("encrypted") else ""
        item = self._items.setdefault((kind, index if isinstance(index, int) else None, whole), {})
        for name, value in fragment.items():
            if name in _GROWS and isinstance(value, str):
                item[name] = text_at(item, name) + value
            elif value is not None or name not in item:
                item[name] = value

    @property
    def items(self) -> list[JsonObject]:
        return list(self._items.values())

    def signature(self) -> Signature:
        items = self.items
        return Signature(DETAILS, dump(items).decode()) if items else UNSIGNED


def details_of(signature: Signature) -> list[JsonObject]:
    """The items that a signature of form "details" holds."""
    return objects_at(load_object(b'{"items":%s}' % encoded(signature.value)) or {}, "items")


def details_text(items: Sequence[JsonObject]) -> str:
    return "".join(text_at(item, "text") or text_at(item, "summary") for item in items)


def foreign_item(value: str, item_id: str, index: int) -> JsonObject:
    """A foreign signature among `reasoning_details`; the format is one that OpenRouter's clients know."""
    return {"type": "reasoning.encrypted", "data": value, "id": item_id, "format": "unknown", "index": index}


def span_id(start: int, end: int) -> str:
    """The id of an item that signs these characters of a choice's reasoning."""
    return f"reasoning-{start}-{end}"


# -- what a client sends back ---------------------------------------------------------------------------


def signature_of(holder: JsonObject) -> str:
    """Of a message, a delta or a tool call."""
    return text_at(object_at(object_at(holder, "extra_content"), "google"), "thought_signature")


def signed(value: str) -> JsonObject:
    return {"google": {"thought_signature": value}}


def own_signature(value: str) -> Signature:
    return Signature(ENVELOPE if is_envelope(value) else SIGNATURE, value)


def signed_thoughts(message: JsonObject) -> Iterator[Thought]:
    """The reasoning of an assistant's message, but for what signs one of its tool calls.

    A signature that names no place, or one that is not there, is that of all the text that is left.
    """
    text = text_at(message, "reasoning_content") or text_at(message, "reasoning")
    items = objects_at(message, "reasoning_details")
    own = [item for item in items if not _envelope(item)]
    if own:
        yield Thought(text or details_text(own), Signature(DETAILS, dump(own).decode()))
        text = ""
    calls = {text_at(call, "id") for call in objects_at(message, "tool_calls")}
    yield from _split(text, [item for item in items if _envelope(item) and text_at(item, "id") not in calls])


def call_signatures(message: JsonObject) -> Mapping[str, Signature]:
    """Envelopes by the id of the tool call that they sign."""
    items = objects_at(message, "reasoning_details")
    return {text_at(item, "id"): Signature(ENVELOPE, _envelope(item)) for item in items if _envelope(item)}


def _split(text: str, items: Sequence[JsonObject]) -> Iterator[Thought]:
    done = 0
    for item in items:
        start, end = _span(item, done, len(text))
        if start > done:
            yield Thought(text[done:start], UNSIGNED)
        yield Thought(text[start:end], Signature(ENVELOPE, _envelope(item)))
        done = end
    if done < len(text):
        yield Thought(text[done:], UNSIGNED)


def _span(item: JsonObject, done: int, length: int) -> tuple[int, int]:
    found = _SPAN.fullmatch(text_at(item, "id"))
    start, end = (int(found[1]), int(found[2])) if found else (done, length)
    return (start, end) if done <= start <= end <= length else (done, length)


def _envelope(item: JsonObject) -> str:
    data = text_at(item, "data")
    return data if is_envelope(data) else ""
