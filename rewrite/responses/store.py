"""Responses that were kept because no provider keeps them: what they hold, and how a later call continues it.

A response that is written for a client of OpenAI Responses from another protocol's answer is known to us
alone. It is kept with the items that its own call brought; the items of earlier turns are in the responses
before it, `previous` naming the last of them. A call that names one is given all of them again, oldest
first, so that any provider can be asked. Times are epoch seconds, sizes are bytes of JSON.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from protocols.model.parts import BlockStop
from protocols.model.progress import Progress
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    dump,
    number_at,
    object_at,
    objects,
    objects_at,
    text_at,
)
from protocols.shared.signatures import wrapped
from rewrite.translation import repair

PROTOCOL = "openai_responses"
"""The protocol whose responses these are."""

_RESPONSE = re.compile(r"resp_rot[0-9a-f]{24}")
_ITEM = re.compile(r"[a-z]+_(rot[0-9a-f]{24})_i?\d+")
_FORM = 1
_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_OUTPUTS: Mapping[str, str] = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
_ENDS = frozenset({"completed", "truncated"})

type Find = Callable[[str], "Stored | None"]
"""The response of an id, in one scope."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One response."""

    id: str
    """The id that the client was given."""
    scope: str
    """Who may use it, see `scope_of`."""
    previous: str | None
    """The id of the response that it continues. None: it continues none of ours."""
    model: str
    """As the client was given it."""
    provider: str
    """The name of the provider that made it."""
    input_items: tuple[JsonObject, ...]
    """Those of its own call, each with an id."""
    response: JsonObject
    """The object that the client was given."""
    created: float
    """When it was made, in epoch seconds."""
    size: int = 0
    """Bytes of JSON of all that, see `sized`."""

    @property
    def output(self) -> list[JsonObject]:
        return objects_at(self.response, "output")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept of stored responses."""

    ttl: float = 30 * 24 * 3600.0
    """Seconds for which a response is kept."""
    max_bytes: int = 64 << 20
    """Bytes of JSON in all scopes together."""
    max_count: int = 10_000
    """Responses in each scope."""


def is_ours(response_id: str) -> bool:
    """Whether an id is one that we gave out. Providers' are of hex digits, which `rot` is none of."""
    return _RESPONSE.fullmatch(response_id) is not None


def scope_of(fingerprint: str | None, provider: str) -> str:
    """Who may use an id: the credential that a client sent to the provider that it called. Fit for a file's
    name where both are."""
    return f"{fingerprint or 'anonymous'}-{provider}"


# -- a call that ended becomes a stored response ----------------------------------------------------------


def is_kept(body: JsonObject, end: str) -> bool:
    """Whether the response of a call with `body` is to be kept. `store` is true where nothing is said;
    `end` is the word of `Summary.end`: what failed or was left is not kept."""
    return end in _ENDS and body.get("store") is not False


def as_shown(progress: Progress, provider: str, end: str) -> Progress:
    """A copy of `progress` as the client saw it: its signatures in envelopes of `provider`, a cut closed."""
    shown = replace(progress, finished=dict(progress.finished), seen=set(progress.seen))
    shown.blocks = {
        place: replace(block, stop=_wrapped(block.stop, provider)) if block.stop else block
        for place, block in progress.blocks.items()
    }
    if end == "truncated":
        closing = repair.closing(progress)
        shown.fold(part for part in closing if not isinstance(part, BlockStop))
    return shown


def _wrapped(stop: BlockStop, provider: str) -> BlockStop:
    return replace(stop, signature=wrapped(stop.signature, provider)) if stop.signature else stop


def input_items(body: JsonObject, name: str) -> tuple[JsonObject, ...]:
    """The input of a request as items in the form in which they are listed, each with an id; `name` (the
    response's id without its prefix) makes the ids of those that lack one."""
    said = body.get("input")
    items = [_user(said)] if isinstance(said, str) else objects_at(body, "input")
    return tuple(_listed(item, name, number) for number, item in enumerate(items))


def _user(text: str) -> JsonObject:
    return {"type": "message", "role": "user", "content": text}


def _listed(item: JsonObject, name: str, number: int) -> JsonObject:
    kind = text_at(item, "type") or ("message" if "role" in item else "item_reference")
    own = {"id": text_at(item, "id") or f"{_PREFIXES.get(kind, 'item')}_{name}_i{number}", "type": kind}
    if kind != "message":
        return {**item, **own}
    return {"status": "completed", **item, **own, "content": _content(item)}


def _content(item: JsonObject) -> object:
    """Bare text as a list of parts."""
    said = item.get("content")
    if not isinstance(said, str):
        return said
    if text_at(item, "role") == "assistant":
        return [{"type": "output_text", "text": said, "annotations": []}]
    return [{"type": "input_text", "text": said}]


def sized(stored: Stored) -> Stored:
    return replace(stored, size=len(dump(as_mapping(stored))))


# -- a call that continues --------------------------------------------------------------------------------


def lineage(response_id: str, find: Find) -> tuple[Stored, ...] | None:
    """The response and those before it, oldest first; None if one of them is gone."""
    found: list[Stored] = []
    seen: set[str] = set()
    sought: str | None = response_id
    while sought is not None:
        one = None if sought in seen else find(sought)
        if one is None:
            return None
        seen.add(sought)
        found.append(one)
        sought = one.previous
    return tuple(reversed(found))


def gap(response_id: str, find: Find) -> str:
    """The id of the last response of a lineage that is gone; empty where none is."""
    seen: set[str] = set()
    sought: str | None = response_id
    while sought is not None and sought not in seen:
        seen.add(sought)
        one = find(sought)
        if one is None:
            return sought
        sought = one.previous
    return ""


def listed(found: Sequence[Stored]) -> list[JsonObject]:
    """The items that the last response of a lineage was made from, oldest first."""
    earlier = [item for one in found[:-1] for item in (*one.input_items, *one.output)]
    return [*earlier, *(item for one in found[-1:] for item in one.input_items)]


def expanded(body: JsonObject, found: Sequence[Stored]) -> JsonObject:
    """`body` with the items of a lineage before its own, which takes the place of `previous_response_id`.
    Instructions are not inherited, as the provider documents."""
    rest = {name: value for name, value in body.items() if name != "previous_response_id" or not found}
    said = body.get("input")
    own = [_user(said)] if isinstance(said, str) else said if isinstance(said, list) else []
    earlier = [item for one in found for item in (*one.input_items, *one.output)]
    return {**rest, "input": replayed([*earlier, *own])}


def replayed(items: Sequence[object]) -> list[object]:
    """`items` as any provider can be sent them; those that are none of ours stay as they are.

    Our ids mean nothing to a provider; nor does reasoning that nobody signed, which only its maker could
    have kept; nor an image by the id of its making. A call that was cut has no result, and would be refused
    without one.
    """
    answered = {(text_at(item, "type"), text_at(item, "call_id")) for item in objects(items)}
    return [_without_id(item) for item in items if _is_replayed(item, answered)]


def _is_replayed(item: object, answered: set[tuple[str, str]]) -> bool:
    if not isinstance(item, dict) or maker(item) is None:
        return True
    kind = text_at(item, "type")
    if kind == "reasoning":
        return bool(text_at(item, "encrypted_content"))
    if kind == "image_generation_call":
        return False
    cut = kind in _OUTPUTS and text_at(item, "status") == "incomplete"
    return not cut or (_OUTPUTS[kind], text_at(item, "call_id")) in answered


def _without_id(item: object) -> object:
    if not isinstance(item, dict) or maker(item) is None:
        return item
    return {name: value for name, value in item.items() if name != "id"}


# -- items by reference -----------------------------------------------------------------------------------


def maker(item: JsonObject) -> str | None:
    """The id of the response that an item's id comes from; None if it is none of ours."""
    found = _ITEM.fullmatch(text_at(item, "id"))
    return f"resp_{found[1]}" if found else None


def is_reference(item: object) -> bool:
    """Whether an item of a request stands for one of ours, by its id alone."""
    if not isinstance(item, dict) or maker(item) is None:
        return False
    return text_at(item, "type") == "item_reference" or item.keys() <= {"id", "type"}


def resolved(body: JsonObject, find: Find) -> tuple[JsonObject, str | None]:
    """`body` with the items that it refers to in their places, and the first id that refers to nothing. The
    same object where it refers to none."""
    said = body.get("input")
    if not isinstance(said, list) or not any(is_reference(item) for item in said):
        return body, None
    items = [_resolved(item, find) if is_reference(item) else item for item in said]
    unknown = next((text_at(item, "id") for item in objects(items) if is_reference(item)), None)
    return {**body, "input": items}, unknown


def _resolved(reference: JsonObject, find: Find) -> JsonObject:
    stored = find(maker(reference) or "")
    known = (*stored.output, *stored.input_items) if stored else ()
    return next((item for item in known if item.get("id") == reference.get("id")), reference)


# -- as it is written down --------------------------------------------------------------------------------


def as_mapping(stored: Stored) -> JsonObject:
    """What a file of it holds, as JSON."""
    return {
        "form": _FORM,
        "id": stored.id,
        "scope": stored.scope,
        "previous": stored.previous,
        "model": stored.model,
        "provider": stored.provider,
        "created": stored.created,
        "input_items": stored.input_items,
        "response": stored.response,
    }


def from_mapping(mapping: JsonObject, size: int) -> Stored | None:
    """What `as_mapping` wrote as `size` bytes of JSON; None if it is anything else."""
    created, items = number_at(mapping, "created"), mapping.get("input_items")
    response, previous = object_at(mapping, "response"), mapping.get("previous")
    sound = isinstance(items, list) and isinstance(previous, str | None) and text_at(response, "id")
    if count_at(mapping, "form") != _FORM or not sound or created is None:
        return None
    return Stored(
        id=text_at(mapping, "id"),
        scope=text_at(mapping, "scope"),
        previous=text_at(mapping, "previous") or None,
        model=text_at(mapping, "model"),
        provider=text_at(mapping, "provider"),
        input_items=tuple(objects_at(mapping, "input_items")),
        response=response,
        created=created,
        size=size,
    )


# -- what is let go ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored response without its content."""

    scope: str
    """Who may use it."""
    id: str
    """The id that the client was given."""
    created: float
    """When it was made, in epoch seconds."""
    size: int
    """Bytes of JSON."""
    used: float
    """When it was last asked for, or made, in epoch seconds."""


def expired(entry: Entry | Stored, bounds: Bounds, now: float) -> bool:
    return now - entry.created >= bounds.ttl


def evicted(entries: Iterable[Entry], bounds: Bounds, now: float) -> list[Entry]:
    """Which entries have to go: the expired ones, and those that are too many in their scope, or too much
    in all, beside the ones that were used later."""
    gone: list[Entry] = []
    left, count = bounds.max_bytes, dict[str, int]()
    for entry in sorted(entries, key=lambda one: (one.used, one.created), reverse=True):
        fits = entry.size <= left and count.get(entry.scope, 0) < bounds.max_count
        if expired(entry, bounds, now) or not fits:
            gone.append(entry)
            continue
        left -= entry.size
        count[entry.scope] = count.get(entry.scope, 0) + 1
    return gone
