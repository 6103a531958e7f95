"""The turns of a conversation as its requests repeat them, in any protocol: so much of each as tells one
conversation from another.

Clients write one turn in several ways: a text as a string or in blocks, with a mark for the cache or without,
one message or several items. So a turn is its text without blanks, its calls of tools with them, and what its
provider made and clients send back as they got it: ids and signatures. What thinks, and who is the system,
are left out: clients change both.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, takewhile

import msgspec

from protocols.model.parts import BlockKind
from protocols.model.progress import Block, Progress
from protocols.model.wirejson import JsonObject, LazyObject, dump, load_value, text_at

MOST_PAIRS = 4
"""Answers of a history that are looked at, the last ones."""
MOST_ITEMS = 200
"""Messages of a history that are looked at for them."""
MOST_TEXT = 2000
"""Characters of a turn that count, blanks excepted."""
LARGEST_OF_CLIENT, LARGEST_ITEM = 1 << 14, 1 << 16
"""Bytes of a message that is parsed, and of one of the model. Of a larger one, a result of a tool, an image
or a whole file, the first `_START` count as they are."""
SHORTEST_ID = 16
"""Characters of a value that can be a provider's alone: `call_1` is anybody's."""
MOST_IDS = 8
"""Of one turn, the last ones."""

_START = 1000
_DEPTH = 6
_LISTS = ("messages", "input", "contents")
_MODEL, _SYSTEM = frozenset({"assistant", "model"}), frozenset({"system", "developer"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
_TEXTS = ("text", "refusal", "content", "output", "parts", "functionResponse", "response", "result")
_PARTS = ("content", "parts", "tool_calls", "function", "functionCall", "reasoning_details")
_IDS = ("id", "call_id", "signature", "thoughtSignature", "thought_signature", "encrypted_content", "data")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said at a time."""

    text: str
    """Without blanks, with the calls of tools; at most `MOST_TEXT` characters."""
    ids: tuple[str, ...] = ()
    """What the provider made in it, each of at least `SHORTEST_ID` characters."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A turn of the client and the answer to it."""

    asked: Turn
    answered: Turn


@dataclass(frozen=True, slots=True)
class History:
    """What is looked at of a conversation."""

    opening: Turn
    """The first turn of the client."""
    pairs: tuple[Pair, ...]
    """The last answers, the last one first."""
    asked: Turn
    """What is asked now."""


class _Side(Enum):
    MODEL = auto()
    CLIENT = auto()
    SYSTEM = auto()


@dataclass(frozen=True, slots=True)
class _Item:
    """A message, of which as much is read as counts."""

    side: _Side
    said: object = None


def history_of(body: JsonObject) -> History | None:
    """The history in a request's body; None where there is none, or none that can be read."""
    try:
        items = _items(body)
    except RecursionError:
        return None
    if not items:
        return None
    groups = list(_groups(map(_read, reversed(items[-MOST_ITEMS:]))))
    asked = _turn(groups.pop(0)[1][::-1]) if groups and groups[0][0] is _Side.CLIENT else Turn("")
    turns = [_turn(group[::-1]) for _, group in groups]
    pairs = [Pair(after, before) for before, after in zip(turns[::2], [*turns[1::2], Turn("")], strict=False)]
    return History(_opening(items), tuple(pairs[:MOST_PAIRS]), asked)


def answer_turn(progress: Progress) -> Turn:
    """What the client has got of an answer, as it will send it back; of several choices the first."""
    blocks = [block for block in progress.ordered if block.start.choice == 0]
    said = [block.text for block in blocks if block.kind in (BlockKind.TEXT, BlockKind.REFUSAL)]
    calls = [_call(block.tool_name or "", block.text) for block in blocks if block.kind is BlockKind.TOOL]
    return Turn(_joined([*said, *calls]), _long(each for block in blocks for each in _made(block)))


def _made(block: Block) -> Iterator[str]:
    if block.start.tool_id:
        yield block.start.tool_id
    if block.stop and block.stop.signature:
        yield block.stop.signature.value


# -- turns ------------------------------------------------------------------------------------------------


def _items(body: JsonObject) -> Sequence[object]:
    """The messages as they are in the body; a bare text is one. Code Assist has them in `request`."""
    for name in _LISTS:
        if name in body:
            pieces = body.pieces(name) if isinstance(body, LazyObject) else None
            value = body[name] if pieces is None else pieces
            return value if isinstance(value, list) else [value]
    request = body.get("request") if not isinstance(body, LazyObject) else None
    return _items(request) if isinstance(request, dict) else []


def _groups(items: Iterable[_Item]) -> Iterator[tuple[_Side, list[_Item]]]:
    """Items of one side that follow one another, as many as `MOST_PAIRS` answers take."""
    side, group, count = None, list[_Item](), 0
    for item in items:
        if item.side is _Side.SYSTEM:
            continue
        if item.side is not side and side is not None:
            yield side, group
            group, count = [], count + 1
            if count > 2 * MOST_PAIRS:
                return
        side = item.side
        group.append(item)
    if side is not None:
        yield side, group


def _opening(items: Sequence[object]) -> Turn:
    said = (item for item in map(_read, items[:MOST_ITEMS]) if item.side is not _Side.SYSTEM)
    return _turn(list(takewhile(lambda item: item.side is _Side.CLIENT, said)))


def _turn(items: Sequence[_Item]) -> Turn:
    """Calls come last, as in `answer_turn`, whatever their order among texts."""
    texts = (text for item in items for text in _texts(item.said, _DEPTH))
    models = [item.said for item in items if item.side is _Side.MODEL]
    calls = (call for said in models for call in _calls(said, _DEPTH))
    return Turn(_joined(chain(texts, calls)), _long(each for said in models for each in _ids(said, _DEPTH)))


def _joined(texts: Iterable[str]) -> str:
    joined = ""
    for text in texts:
        joined += "".join(text[: 2 * MOST_TEXT].split())
        if len(joined) >= MOST_TEXT:
            break
    return joined[:MOST_TEXT]


def _long(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in ids if len(each) >= SHORTEST_ID))[-MOST_IDS:]


# -- one message ------------------------------------------------------------------------------------------


def _read(item: object) -> _Item:
    if isinstance(item, msgspec.Raw):
        raw = bytes(item)
        if len(raw) > (LARGEST_ITEM if _may_be_models(raw) else LARGEST_OF_CLIENT):
            side = _Side.MODEL if _may_be_models(raw) else _Side.CLIENT
            return _Item(side, raw[:_START].decode("latin-1"))
        item = load_value(raw)
    return _Item(_side(item) if isinstance(item, dict) else _Side.CLIENT, item)


def _may_be_models(raw: bytes) -> bool:
    """The role stands at one of the ends of a message."""
    ends = raw[:64] + raw[-64:]
    return any(b'"' + role.encode() + b'"' in ends for role in _MODEL)


def _side(item: JsonObject) -> _Side:
    """Items of the Responses API that are calls, or thoughts, have no role."""
    role, kind = text_at(item, "role"), text_at(item, "type")
    if role in _SYSTEM:
        return _Side.SYSTEM
    is_models = role in _MODEL or (not role and (kind == "reasoning" or kind.endswith("_call")))
    return _Side.MODEL if is_models else _Side.CLIENT


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth:
        for each in value:
            yield from _texts(each, depth - 1)
    elif isinstance(value, dict) and depth and not _thinks(value):
        for name in _TEXTS:
            if inner := value.get(name):
                yield from _texts(inner, depth - 1)


def _thinks(value: JsonObject) -> bool:
    return value.get("thought") is True or text_at(value, "type") in _THOUGHTS


def _calls(value: object, depth: int) -> Iterator[str]:
    """`name(arguments)`: a call has its arguments beside its name, under a word of its protocol's."""
    for each in _nested(value, depth):
        name = each.get("name")
        arguments = next((each[key] for key in ("arguments", "input", "args") if key in each), None)
        if isinstance(name, str) and arguments is not None:
            yield _call(name, arguments)


def _call(name: str, arguments: object) -> str:
    """Arguments as they would be after any client had parsed and written them."""
    value = load_value(arguments.encode("utf-8", "replace")) if isinstance(arguments, str) else arguments
    said = dump(dict(sorted(value.items()))).decode() if isinstance(value, dict) else str(arguments)
    return f"{name}({said})"


def _ids(value: object, depth: int) -> Iterator[str]:
    for each in _nested(value, depth):
        for name in _IDS:
            found = each.get(name)
            if isinstance(found, str):
                yield found


def _nested(value: object, depth: int) -> Iterator[Mapping[str, object]]:
    """`value` and the objects in it in which a model speaks."""
    if isinstance(value, list) and depth:
        for each in value:
            yield from _nested(each, depth - 1)
    elif isinstance(value, dict) and depth:
        yield value
        for name in _PARTS:
            if inner := value.get(name):
                yield from _nested(inner, depth - 1)
