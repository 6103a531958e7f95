"""Where tool calls are in a request, an answer or an event of each protocol, and how one is known again.

A call is known by its id. One without (Gemini's may lack it, Ollama's do) is known by its name and its
arguments. What stands for two calls of one body is ambiguous, and is none. Where nothing but the call says
whose it is, it has to have an id that no other conversation has: `call_1` is anybody's, and so is the
`functions.get_weather:0` of Moonshot's models.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from protocols.model.parts import BlockKind, BlockStart
from protocols.model.prompt import Prompt, ToolCall
from protocols.model.wirejson import JsonObject, LazyObject, load_value
from rewrite.fields.paths import EVERY, MISSING, Nothing, Steps, parse_path, places_at
from rewrite.fields.store import Key, key_of


@dataclass(frozen=True, slots=True)
class Form:
    """How a protocol writes calls."""

    places: tuple[Steps, ...]
    """Where they may be, in requests, answers and events."""
    id: str = "id"
    """The field with the id."""
    name: Steps = ("name",)
    """The path of the name, from the call on."""
    arguments: Steps = ("arguments",)
    """That of the arguments, as an object or as the JSON text of one."""
    types: tuple[str, ...] = ()
    """What `type` may say, which may be of any kind. Empty: there is none."""


def _form(
    *places: str,
    id: str = "id",
    name: str = "name",
    arguments: str = "arguments",
    types: str = "",
) -> Form:
    found = tuple(parse_path(place) for place in places)
    return Form(found, id, parse_path(name), parse_path(arguments), tuple(types.split()))


UNIFIED = "unified"
"""In the place of a protocol: what the parts of an answer come to, see `rewrite.fields.answers`."""
_PARTS = "content.parts.*.functionCall"
FORMS: Mapping[str, Form] = {
    "openai_chat": _form(
        "messages.*.tool_calls.*",
        "choices.*.message.tool_calls.*",
        "choices.*.delta.tool_calls.*",
        name="function.name",
        arguments="function.arguments",
    ),
    "openai_responses": _form(
        "input.*",
        "output.*",
        "item",
        "response.output.*",
        id="call_id",
        types="""
            function_call custom_tool_call local_shell_call shell_call apply_patch_call computer_call
        """,
    ),
    "anthropic_messages": _form(
        "messages.*.content.*", "content.*", "content_block", arguments="input", types="tool_use"
    ),
    # With what Code Assist puts around requests and answers.
    "gemini_generate": _form(
        "contents.*.parts.*.functionCall",
        f"candidates.*.{_PARTS}",
        "request.contents.*.parts.*.functionCall",
        f"response.candidates.*.{_PARTS}",
        arguments="args",
    ),
    "ollama_chat": _form(
        "messages.*.tool_calls.*",
        "message.tool_calls.*",
        name="function.name",
        arguments="function.arguments",
    ),
    UNIFIED: _form("choices.*.blocks.*", arguments="text", types=BlockKind.TOOL),
}
"""By protocol. Of any other no calls are known."""

_IN_PROMPT = parse_path("messages.*.content.*")


_WORDS = re.compile(r"calls?|functions?|toolu?|chatcmpl|[^a-zA-Z0-9]")
SHORTEST = 8
"""Letters and digits that a provider makes up for an id. Measured: Gemini has so few, others 9 and more."""


@dataclass(slots=True)
class FoundCall:
    """A tool call in a body."""

    place: Steps
    """Where it is."""
    id: object
    """MISSING: it has none."""
    name: object
    arguments: object
    """As an object, or as the JSON text of one."""
    known_by: Key | Nothing | None = MISSING
    """Its key, once somebody asked for it."""

    @property
    def is_anybodys(self) -> bool:
        """Whether another conversation may well have a call of this id."""
        own = self.id if isinstance(self.id, str) else ""
        if isinstance(self.name, str) and len(self.name) > 3:  # a shorter one may stand there by chance
            own = own.replace(self.name, "")
        return len(_WORDS.sub("", own)) < SHORTEST

    @property
    def key(self) -> Key | None:
        """None: nothing identifies it."""
        if self.known_by is MISSING:
            self.known_by = self._key()
        return self.known_by

    def _key(self) -> Key | None:
        if isinstance(self.id, str) and self.id:
            return key_of("id", self.id)
        if not isinstance(self.name, str) or not self.name or self.arguments in (None, MISSING):
            return None
        try:
            return key_of("call", self.name, json.dumps(_parsed(self.arguments), sort_keys=True))
        except (TypeError, ValueError, RecursionError):
            return None


def _parsed(arguments: object) -> object:
    return load_value(arguments.encode("utf-8", "replace")) if isinstance(arguments, str) else arguments


def tool_calls(value: object, protocol: str) -> Sequence[FoundCall]:
    """The calls in `value`, in order: a body or an event of the protocol, or an object of the unified model.
    None is among them whose id another one has."""
    found = list(_calls(value, protocol))
    times = Counter(each.id for each in found if isinstance(each.id, str) and each.id)
    return [each for each in found if not isinstance(each.id, str) or times[each.id] < 2]


def keyed(calls: Iterable[FoundCall], *, alone: bool) -> Iterator[tuple[Key, Steps]]:
    """What `calls` are known by, and where they are. `alone`: those whose ids no other conversation has."""
    found = [(key, each.place) for each in calls if not (alone and each.is_anybodys) and (key := each.key)]
    times = Counter(key for key, _ in found)
    return ((key, place) for key, place in found if times[key] < 2)


def is_call(value: object, protocol: str) -> bool:
    """Whether an item of a list is a call, or the object right around one."""
    form = FORMS.get(protocol)
    if form is None or not isinstance(value, dict):
        return isinstance(value, ToolCall)
    return value.get("type") in form.types or "functionCall" in value


def _calls(value: object, protocol: str) -> Iterator[FoundCall]:
    if isinstance(value, Prompt):
        for place, each in places_at(value, _IN_PROMPT):
            if isinstance(each, ToolCall):
                yield FoundCall(place, each.id, each.name, each.arguments)
    elif isinstance(value, BlockStart):
        if value.kind is BlockKind.TOOL:
            yield FoundCall((), value.tool_id, value.tool_name, None)
    elif form := FORMS.get(protocol):
        for path in form.places:
            for place, each in _objects_at(value, path, ()):
                if not form.types or each.get("type") in form.types:
                    name, arguments = (_within(each, path) for path in (form.name, form.arguments))
                    yield FoundCall(place, each.get(form.id), name, arguments)


def _objects_at(value: object, path: Steps, place: Steps) -> Iterator[tuple[Steps, JsonObject]]:
    """As `places_at`, of objects of JSON alone, which stand in objects and lists: in a tenth of the time,
    since all of a long conversation is looked through."""
    for at, step in enumerate(path):
        if step is EVERY:
            if isinstance(value, list):
                for number, item in enumerate(value):
                    yield from _objects_at(item, path[at + 1 :], (*place, number))
            return
        value = value.get(step) if isinstance(value, dict | LazyObject) and isinstance(step, str) else None
        if value is None:
            return
        place = (*place, step)
    if isinstance(value, dict | LazyObject):
        yield place, value


def _within(call: JsonObject, path: Steps) -> object:
    value: object = call
    for step in path:
        value = value.get(step) if isinstance(value, dict) else MISSING
    return value
