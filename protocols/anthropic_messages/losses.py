"""Which of the protocol's losses happen to one request."""

from collections.abc import Callable, Iterator, Mapping

from protocols.anthropic_messages.request_read import OF_THE_PROVIDER
from protocols.anthropic_messages.request_write_turns import NOT_IN_IDS, OPENING, SEALS, split
from protocols.base import Written
from protocols.model.call import Call
from protocols.model.prompt import Refusal, Role, Text, budget_of, effort_of
from protocols.model.wirejson import JsonObject, count_at, object_at, objects_at, text_at
from protocols.shared.losses import (
    calls,
    contents,
    fewer_tools,
    looked_at_closely,
    media_of_the_model,
    named_images,
    refusals,
    results,
    thoughts,
    wrapped_arguments,
)

_ORDINARY_TIERS = (None, "auto", "default")
_ORDINARY_TIME = "5m"
_TEXTS = ("text", "tool_result")

# -- on the way to the provider -------------------------------------------------------------------------


def _system_between(one: Written) -> bool:
    return any(message.role is Role.SYSTEM for message in split(one.prompt.messages)[1])


def _opened_for(one: Written) -> bool:
    return objects_at(one.body, "messages")[0].get("content") == [{"type": "text", "text": OPENING}]


def _blank(one: Written) -> bool:
    """An empty text says nothing, and is no loss; the only text of a result may be blank."""
    many = [each for result in results(one.prompt) if len(result.content) > 1 for each in result.content]
    said = [*one.prompt.system, *contents(one.prompt), *many]
    texts = [each.text for each in said if isinstance(each, Text | Refusal)]
    return any(text.isspace() for text in texts) or _trailing(one)


def _trailing(one: Written) -> bool:
    last = one.prompt.messages[-1]
    text = last.content[-1] if last.role is Role.ASSISTANT and last.content else None
    return isinstance(text, Text | Refusal) and text.text != text.text.rstrip()


def _unsealed(one: Written) -> bool:
    return any(each.seal is None or each.seal.form not in SEALS for each in thoughts(one.prompt))


def _other_budget(one: Written) -> bool:
    told, asked = count_at(object_at(one.body, "thinking"), "budget_tokens"), one.prompt.thinking
    return told is not None and asked is not None and told != budget_of(asked)


def _other_effort(one: Written) -> bool:
    told, asked = text_at(object_at(one.body, "output_config"), "effort"), one.prompt.thinking
    return bool(told) and asked is not None and told != effort_of(asked)


def _other_ids(one: Written) -> bool:
    made = [call.id for call in calls(one.prompt)] + [result.id for result in results(one.prompt)]
    return any(map(NOT_IN_IDS.search, made))


def _other_format(one: Written) -> bool:
    form = one.prompt.response_format
    if form is None:
        return False
    told = object_at(object_at(one.body, "output_config"), "format").get("schema")
    return told != form.schema or form.schema is None or bool(form.name or form.description or form.strict)


HAPPENS: Mapping[str, Callable[[Written], bool]] = {
    "system messages": _system_between,
    "first message": _opened_for,
    "blank texts": _blank,
    "stop sequences": lambda one: any(not each.strip() for each in one.prompt.stop),
    "thoughts": _unsealed,
    "thinking budget": _other_budget,
    "thinking effort": _other_effort,
    "service tier": lambda one: one.prompt.service_tier not in _ORDINARY_TIERS,
    "tool arguments": wrapped_arguments,
    "tool call ids": _other_ids,
    "allowed tools": fewer_tools,
    "response format": _other_format,
    "images": lambda one: looked_at_closely(one) or named_images(one) or media_of_the_model(one),
    "refusals": refusals,
}

# -- on the way from a client ---------------------------------------------------------------------------


def _blocks(body: JsonObject) -> Iterator[JsonObject]:
    for message in objects_at(body, "messages"):
        for block in objects_at(message, "content"):
            yield block
            yield from objects_at(block, "content")


def _cached_otherwise(call: Call) -> bool:
    """For longer than the ordinary time, or behind what is no text."""
    body, blocks = call.body, list(_blocks(call.body))
    holders = [*blocks, *objects_at(body, "system"), *objects_at(body, "tools")]
    lasting = any(_lasts(object_at(holder, "cache_control")) for holder in holders)
    return lasting or any(
        each.get("cache_control") and text_at(each, "type") not in _TEXTS for each in blocks
    )


def _lasts(mark: JsonObject) -> bool:
    return text_at(mark, "ttl") not in ("", _ORDINARY_TIME)


def _done_before(call: Call) -> bool:
    """What citations say, and what the provider's own tools did."""
    blocks = list(_blocks(call.body))
    return any(block.get("citations") or text_at(block, "type").endswith(OF_THE_PROVIDER) for block in blocks)


UNREAD: Mapping[str, Callable[[Call], bool]] = {
    "cache breakpoints": _cached_otherwise,
    "history": _done_before,
}
