"""What one request loses on its way: the topics of `Abilities.losses` that happen to it.

A loss shows in the prompt, or in the prompt beside the body that it became, so that nobody has to note it
while a request is read and written. Here is what several protocols lose; the rest is beside each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from protocols.base import Abilities, Trait, Translator, Written
from protocols.model.call import Call, Destination, Rendered
from protocols.model.parts import ToolKind
from protocols.model.prompt import (
    Content,
    Media,
    MediaKind,
    Prompt,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.shared.arguments import NONE_GIVEN, kept, value_of

_ORDINARY = ("", "auto")
_NOTHING = (None, ())
_KINDS: Mapping[type, Trait] = {
    Refusal: Trait.REFUSAL,
    Thought: Trait.THOUGHT,
    ToolCall: Trait.CALL,
    ToolResult: Trait.RESULT,
    Media: Trait.MEDIA,
}
_FIELDS: Mapping[str, Trait] = {
    "tools": Trait.TOOLS,
    "tool_choice": Trait.TOOL_CHOICE,
    "response_format": Trait.FORMAT,
    "thinking": Trait.THINKING,
    "stop": Trait.STOP,
    "service_tier": Trait.TIER,
    "max_output": Trait.LIMIT,
}


def rendered(translator: Translator, prompt: Prompt, destination: Destination) -> Rendered:
    """The request that `prompt` becomes, with what it lost after what its writer reports already."""
    request, abilities = translator.write_request(prompt, destination), translator.abilities
    one = Written(prompt, destination, request.body)
    found = traits(prompt)
    lost = [
        (topic, abilities.losses[topic])
        for topic, occurs in abilities.happens.items()
        if occurs.where & found and (occurs.test is None or occurs.test(one))
    ]
    return replace(request, losses=(*request.losses, *lost))


def unread(call: Call, abilities: Abilities) -> Sequence[tuple[str, str]]:
    """What of `call` is not in its prompt, and why, by topic."""
    return [(topic, abilities.losses[topic]) for topic, happens in abilities.unread.items() if happens(call)]


# -- what a prompt holds --------------------------------------------------------------------------------


def traits(prompt: Prompt) -> Trait:
    """All that it has, so that a loss is looked for only where it can be."""
    said, groups = spoken(prompt), _groups(prompt)
    kinds, roles = set(map(type, said)), [message.role for message in prompt.messages]
    has = {
        **{trait: kind in kinds for kind, trait in _KINDS.items()},
        Trait.SEVERAL: any(len(group) > 1 for group in groups),
        Trait.BLANK: any(map(_is_blank, said)) or not all(groups[1:]) or _trails(prompt),
        Trait.CACHE: any(isinstance(each, Text) and each.cache for each in said)
        or any(tool.cache for tool in prompt.tools),
        Trait.SYSTEM: Role.SYSTEM in roles,
        Trait.OPENED: bool(roles) and roles[0] is not Role.USER,
        **{trait: getattr(prompt, name) not in _NOTHING for name, trait in _FIELDS.items()},
    }
    return reduce(or_, (trait for trait, held in has.items() if held), Trait(0))


def _groups(prompt: Prompt) -> Sequence[Sequence[Content]]:
    """Pieces that stand together: those of the system first, then of each message, then of results."""
    said = (message.content for message in prompt.messages)
    return [prompt.system, *said, *(result.content for result in results(prompt))]


def _is_blank(content: Content) -> bool:
    return isinstance(content, Text | Refusal) and not content.text.strip()


def _trails(prompt: Prompt) -> bool:
    last = prompt.messages[-1] if prompt.messages else None
    text = last.content[-1] if last and last.role is Role.ASSISTANT and last.content else None
    return isinstance(text, Text | Refusal) and text.text != text.text.rstrip()


def contents(prompt: Prompt) -> Sequence[Content]:
    return [each for message in prompt.messages for each in message.content]


def results(prompt: Prompt) -> Sequence[ToolResult]:
    return [each for each in contents(prompt) if isinstance(each, ToolResult)]


def calls(prompt: Prompt) -> Sequence[ToolCall]:
    return [each for each in contents(prompt) if isinstance(each, ToolCall)]


def thoughts(prompt: Prompt) -> Sequence[Thought]:
    return [each for each in contents(prompt) if isinstance(each, Thought)]


def spoken(prompt: Prompt) -> Sequence[Content]:
    """All that is said, of the system and in results of tools too."""
    inside = [each for result in results(prompt) for each in result.content]
    return [*prompt.system, *contents(prompt), *inside]


# -- what several protocols lose ------------------------------------------------------------------------

WRAPPED_ARGUMENTS = "earlier ones that are no object are put under `value`"


def wrapped_arguments(one: Written) -> bool:
    said = (call.arguments for call in calls(one.prompt) if call.kind is ToolKind.FUNCTION)
    return any(value_of(text) is not None and kept(text) not in (text, NONE_GIVEN) for text in said)


def failed_tools(one: Written) -> bool:
    return any(result.error for result in results(one.prompt))


def media_in_results(one: Written) -> bool:
    return any(isinstance(each, Media) for result in results(one.prompt) for each in result.content)


def media_of_the_model(one: Written) -> bool:
    said = (
        each for message in one.prompt.messages if message.role is Role.ASSISTANT for each in message.content
    )
    return any(isinstance(each, Media) for each in said)


def looked_at_closely(one: Written) -> bool:
    """How closely an image is to be looked at was said, and it was not the ordinary."""
    return any(isinstance(each, Media) and each.detail not in _ORDINARY for each in spoken(one.prompt))


def named_media(one: Written) -> bool:
    return any(isinstance(each, Media) and bool(each.name) for each in spoken(one.prompt))


def named_images(one: Written) -> bool:
    images = (each for each in spoken(one.prompt) if isinstance(each, Media) and each.kind is MediaKind.IMAGE)
    return any(image.name for image in images)


def strict_schemas(one: Written) -> bool:
    """A schema was to be followed strictly, or an answer's had a name or a description."""
    form = one.prompt.response_format
    answer = bool(form and form.schema is not None and (form.strict or form.name or form.description))
    return answer or any(tool.strict for tool in one.prompt.tools)


def fewer_tools(one: Written) -> bool:
    """Not all tools are in the body."""
    written = one.body.get("tools")
    return (len(written) if isinstance(written, list) else 0) < len(one.prompt.tools)


def limited(one: Written) -> bool:
    """More was asked for than the model can give."""
    asked, most = one.prompt.max_output, one.target.max_output
    return asked is not None and most is not None and asked > most
