"""Which of the protocol's losses happen to one request."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from protocols.base import Written
from protocols.model.prompt import Content, Media, Text, ToolMode, effort_of
from protocols.ollama_chat.error_words import PLAIN
from protocols.shared.losses import (
    cached,
    failed_tools,
    fewer_tools,
    limited,
    looked_at_closely,
    media_in_results,
    named_media,
    refusals,
    results,
    strict_schemas,
    thoughts,
    wrapped_arguments,
)


def _joined(content: Sequence[Content]) -> bool:
    """Texts that become one, or a text that gets before its image."""
    parts = [each for each in content if isinstance(each, Text | Media)]
    return any(isinstance(behind, Text) for _, behind in pairwise(parts))


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


HAPPENS: Mapping[str, Callable[[Written], bool]] = {
    "tool arguments": wrapped_arguments,
    "texts": _together,
    "cache breakpoints": cached,
    "tool choice": _free_to_choose,
    "schemas": strict_schemas,
    "images": lambda one: looked_at_closely(one) or named_media(one),
    "failed tools": failed_tools,
    "media in tool results": media_in_results,
    "reasoning": lambda one: any(not each.seal or each.seal.form != PLAIN for each in thoughts(one.prompt)),
    "thinking": _other_level,
    "refusals": refusals,
    "max_output": limited,
}
