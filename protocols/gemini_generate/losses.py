"""What the protocol cannot say, and which of its losses happen to one request."""

from collections.abc import Callable, Iterator, Mapping

from protocols.base import Abilities, Occurs, Trait, Written
from protocols.gemini_generate.answer_read import SIGNATURE
from protocols.gemini_generate.request_forms import asked, spelled
from protocols.model.call import Call
from protocols.model.prompt import MediaForm, MediaKind, budget_of, effort_of
from protocols.model.wirejson import JsonObject, count_at, object_at, objects_at, text_at
from protocols.shared.losses import (
    WRAPPED_ARGUMENTS,
    looked_at_closely,
    media_in_results,
    named_media,
    strict_schemas,
    thoughts,
    wrapped_arguments,
)

_ABOUT_MEDIA = frozenset({"videoMetadata", "mediaResolution", "partMetadata"})
_ORDER = frozenset({"propertyOrdering", "property_ordering"})


def _thinking(one: Written) -> JsonObject:
    """What is asked of it; the request may be in an envelope."""
    request = object_at(one.body, "request") or one.body
    return object_at(object_at(request, "generationConfig"), "thinkingConfig")


def _other_level(one: Written) -> bool:
    level, thinking = text_at(_thinking(one), "thinkingLevel"), one.prompt.thinking
    return bool(level) and thinking is not None and level.lower() != effort_of(thinking)


def _other_budget(one: Written) -> bool:
    budget, thinking = count_at(_thinking(one), "thinkingBudget"), one.prompt.thinking
    return budget is not None and thinking is not None and budget != budget_of(thinking)


def _of_others(one: Written) -> bool:
    return any(each.signature is None or each.signature.form != SIGNATURE for each in thoughts(one.prompt))


HAPPENS: Mapping[str, Occurs] = {
    "tool arguments": Occurs(Trait.CALL, wrapped_arguments),
    "system messages": Occurs(Trait.SYSTEM),
    "tool results": Occurs(Trait.RESULT, media_in_results),
    "schemas": Occurs(Trait.TOOLS | Trait.FORMAT, strict_schemas),
    "images": Occurs(Trait.MEDIA, lambda one: looked_at_closely(one) or named_media(one)),
    "cache breakpoints": Occurs(Trait.CACHE),
    "thinking": Occurs(Trait.THINKING, _other_level),
    "thinking budget": Occurs(Trait.THINKING, _other_budget),
    "reasoning": Occurs(Trait.THOUGHT, _of_others),
    "refusals": Occurs(Trait.REFUSAL),
}


def _parts(call: Call) -> Iterator[JsonObject]:
    contents = objects_at(asked(call), "contents")
    return (spelled(part) for content in contents for part in objects_at(content, "parts"))


def _ordered(value: object) -> bool:
    """Whether a schema in there says in which order its properties come."""
    match value:
        case dict():
            return bool(_ORDER & value.keys()) or any(map(_ordered, value.values()))
        case list():
            return any(map(_ordered, value))
        case _:
            return False


def _in_order(call: Call) -> bool:
    body = asked(call)
    return _ordered(body.get("tools")) or _ordered(body.get("generationConfig"))


UNREAD: Mapping[str, Callable[[Call], bool]] = {
    "order of properties": _in_order,
    "parts": lambda call: any(_ABOUT_MEDIA & part.keys() for part in _parts(call)),
}

ABILITIES = Abilities(
    lacks={
        "parallel_tool_calls": "the model decides by itself how many tools it calls at once",
        "verbosity": "there is no such knob",
        "user": "there is no field for the end user",
        "metadata": "there is no field for it that every endpoint of the protocol takes",
        "service_tier": "tiers are not chosen by request",
        "cache_key": "prefixes are cached by themselves",
    },
    media=dict.fromkeys(MediaKind, frozenset({MediaForm.DATA, MediaForm.URL})),
    whole_tool_calls=True,
    several_choices=True,
    happens=HAPPENS,
    unread=UNREAD,
    losses={
        "system messages": "one in the middle of a conversation becomes a text of the user",
        "tool arguments": WRAPPED_ARGUMENTS,
        "tool results": "their media stand after them, in the same turn",
        "schemas": "strict, and an answer's name and description, are left out",
        "images": "how closely they are to be looked at, and what media are called, is left out",
        "cache breakpoints": "are left out: prefixes are cached by themselves",
        "thinking": "a level above high is high; a model that thinks by level is never silent",
        "thinking budget": "kept within what models of 2.5 take",
        "reasoning": "goes back only with a signature of this protocol",
        "parts": "which piece of a client's video counts, how closely a part is looked at, and its "
        "metadata are left out",
        "order of properties": "that a client's schema asks for is left out",
        "hosted tools": "what those of another provider did is left out of an answer",
        "log probabilities": "are left out of an answer",
        "sources": "are kept without their place in the text",
        "refusals": "become text",
    },
)
