"""What the protocol cannot say, and which of its losses happen to one request."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from protocols.base import Abilities, Occurs, Trait, Written
from protocols.model.prompt import Content, Media, MediaForm, MediaKind, Text, ToolMode, effort_of
from protocols.shared.losses import (
    WRAPPED_ARGUMENTS,
    failed_tools,
    fewer_tools,
    limited,
    looked_at_closely,
    media_in_results,
    named_media,
    results,
    strict_schemas,
    thoughts,
    wrapped_arguments,
)
from protocols.shared.signatures import PLAIN


def _joined(content: Sequence[Content]) -> bool:
    """Texts that become one, or a text that gets before its image."""
    parts = [each for each in content if isinstance(each, Text | Media)]
    return any(isinstance(later, Text) for _, later in pairwise(parts))


def _together(one: Written) -> bool:
    said = (message.content for message in one.prompt.messages)
    groups = [one.prompt.system, *said, *(result.content for result in results(one.prompt))]
    return any(map(_joined, groups))


def _free_to_choose(one: Written) -> bool:
    choice = one.prompt.tool_choice
    return fewer_tools(one) or bool(choice and choice.mode is ToolMode.REQUIRED)


def _other_level(one: Written) -> bool:
    """A model without levels was asked for one, or one with three for another."""
    if one.prompt.thinking is None or one.prompt.thinking.off or "think" not in one.body:
        return False
    effort = effort_of(one.prompt.thinking)
    return effort is not None and one.body["think"] != effort


def _signed(one: Written) -> bool:
    return any(not each.signature or each.signature.form != PLAIN for each in thoughts(one.prompt))


HAPPENS: Mapping[str, Occurs] = {
    "tool arguments": Occurs(Trait.CALL, wrapped_arguments),
    "texts": Occurs(Trait.SEVERAL, _together),
    "cache breakpoints": Occurs(Trait.CACHE),
    "tool choice": Occurs(Trait.TOOLS | Trait.TOOL_CHOICE, _free_to_choose),
    "schemas": Occurs(Trait.TOOLS | Trait.FORMAT, strict_schemas),
    "images": Occurs(Trait.MEDIA, lambda one: looked_at_closely(one) or named_media(one)),
    "failed tools": Occurs(Trait.RESULT, failed_tools),
    "media in tool results": Occurs(Trait.RESULT, media_in_results),
    "reasoning": Occurs(Trait.THOUGHT, _signed),
    "thinking": Occurs(Trait.THINKING, _other_level),
    "refusals": Occurs(Trait.REFUSAL),
    "max_output": Occurs(Trait.LIMIT, limited),
}

ABILITIES = Abilities(
    lacks={
        "parallel_tool_calls": "the model calls as many tools at once as it likes",
        "logprobs": "an answer's probabilities are not carried over from one protocol to another",
        "verbosity": "there is no such knob",
        "user": "there are no users",
        "metadata": "nothing is stored",
        "service_tier": "there are no tiers",
        "cache_key": "prefixes are cached by themselves",
    },
    media={MediaKind.IMAGE: frozenset({MediaForm.DATA})},
    whole_tool_calls=True,
    happens=HAPPENS,
    losses={
        "texts": "texts that stand together in a message become one, and its images stand after them",
        "cache breakpoints": "are left out: prefixes are cached by themselves",
        "tool choice": "where only some tools may be called, or none, only these are sent; that one must be "
        "called cannot be said",
        "schemas": "strict, and an answer's name and description, are left out",
        "images": "how closely they are to be looked at, and what a client calls them, is left out",
        "tool arguments": WRAPPED_ARGUMENTS,
        "failed tools": "a tool's result has no mark that it failed; its text stays as it is",
        "media in tool results": "they go into a message of the user after the results",
        "reasoning": "goes back to a provider without a signature, which has no place in an answer, so that "
        "a client's next turn is sent without the reasoning of this one",
        "thinking": "minimal is low, and anything above high is high; to a model that knows no levels it is "
        "turned on or off",
        "max_output": "never more than the model can give, where that is known",
        "refusals": "become text, and the end of an answer that was refused is stop",
        "endings": "a turn that is to be continued, and one that ends for a reason without a word here, end "
        "as stop; one that failed is written as an error",
        "sources": "are left out of an answer",
        "pictures of the model": "are left out of an answer: the Python client fails on them",
        "hosted tools": "what a provider's own tools did is left out of an answer",
        "usage": "of an answer's tokens, those of caches and of reasoning are not reported apart",
    },
)
