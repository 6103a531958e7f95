"""What the protocol cannot say, and which of its losses happen to one request."""

from collections.abc import Callable, Iterator, Mapping

from protocols.anthropic_messages.request_read import OF_THE_PROVIDER
from protocols.anthropic_messages.request_write_turns import NOT_IN_IDS, OPENING, SIGNATURES, split
from protocols.base import Abilities, Occurs, Trait, Written
from protocols.model.call import Call
from protocols.model.prompt import MediaForm, MediaKind, Refusal, Role, Text, budget_of, effort_of
from protocols.model.wirejson import JsonObject, count_at, object_at, objects_at, text_at
from protocols.shared.losses import (
    WRAPPED_ARGUMENTS,
    calls,
    contents,
    fewer_tools,
    looked_at_closely,
    media_of_the_model,
    named_images,
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


def _unsigned(one: Written) -> bool:
    return any(
        each.signature is None or each.signature.form not in SIGNATURES for each in thoughts(one.prompt)
    )


def _other_budget(one: Written) -> bool:
    sent, asked = count_at(object_at(one.body, "thinking"), "budget_tokens"), one.prompt.thinking
    return sent is not None and asked is not None and sent != budget_of(asked)


def _other_effort(one: Written) -> bool:
    sent, asked = text_at(object_at(one.body, "output_config"), "effort"), one.prompt.thinking
    return bool(sent) and asked is not None and sent != effort_of(asked)


def _other_ids(one: Written) -> bool:
    made = [call.id for call in calls(one.prompt)] + [result.id for result in results(one.prompt)]
    return any(map(NOT_IN_IDS.search, made))


def _other_format(one: Written) -> bool:
    form = one.prompt.response_format
    if form is None:
        return False
    sent = object_at(object_at(one.body, "output_config"), "format").get("schema")
    return sent != form.schema or form.schema is None or bool(form.name or form.description or form.strict)


def _shown_otherwise(one: Written) -> bool:
    return looked_at_closely(one) or named_images(one) or media_of_the_model(one)


HAPPENS: Mapping[str, Occurs] = {
    "system messages": Occurs(Trait.SYSTEM, _system_between),
    "first message": Occurs(Trait.OPENED | Trait.BLANK, _opened_for),
    "blank texts": Occurs(Trait.BLANK, _blank),
    "stop sequences": Occurs(Trait.STOP, lambda one: any(not each.strip() for each in one.prompt.stop)),
    "thoughts": Occurs(Trait.THOUGHT, _unsigned),
    "thinking budget": Occurs(Trait.THINKING, _other_budget),
    "thinking effort": Occurs(Trait.THINKING, _other_effort),
    "service tier": Occurs(Trait.TIER, lambda one: one.prompt.service_tier not in _ORDINARY_TIERS),
    "tool arguments": Occurs(Trait.CALL, wrapped_arguments),
    "tool call ids": Occurs(Trait.CALL | Trait.RESULT, _other_ids),
    "allowed tools": Occurs(Trait.TOOLS, fewer_tools),
    "response format": Occurs(Trait.FORMAT, _other_format),
    "images": Occurs(Trait.MEDIA, _shown_otherwise),
    "refusals": Occurs(Trait.REFUSAL),
}

# -- on the way from a client ---------------------------------------------------------------------------


def _blocks(body: JsonObject) -> Iterator[JsonObject]:
    for message in objects_at(body, "messages"):
        for block in objects_at(message, "content"):
            yield block
            yield from objects_at(block, "content")


def _cached_otherwise(call: Call) -> bool:
    """For longer than the ordinary time, or after what is no text."""
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

ABILITIES = Abilities(
    headers=frozenset({"anthropic-version", "anthropic-beta"}),
    lacks={
        "frequency_penalty": "repeated words are not made less likely",
        "presence_penalty": "repeated topics are not made less likely",
        "seed": "the same question may get another answer",
        "choices": "there is one answer",
        "logprobs": "no probabilities come with the words",
        "verbosity": "the answer is as long as the model likes",
        "metadata": "nothing is kept with the request but the user",
        "cache_key": "requests with the same beginning are not kept together",
    },
    media={
        MediaKind.IMAGE: frozenset({MediaForm.DATA, MediaForm.URL}),
        MediaKind.FILE: frozenset({MediaForm.DATA, MediaForm.URL}),
    },
    happens=HAPPENS,
    unread=UNREAD,
    losses={
        "system messages": "one that stands between others becomes a text of the user",
        "first message": "where the assistant speaks first, a line of the user is put before it",
        "blank texts": "left out: the provider refuses them, and blank space after an unfinished answer",
        "stop sequences": "blank ones are left out",
        "refusals": "earlier ones become text",
        "thoughts": "sent back only with the provider's own signature",
        "thinking": "left out where a tool is forced, where the last answer is to be continued, where tools "
        "were called without thinking and a budget is asked for, and where less than 1024 tokens remain",
        "thinking budget": "1024 tokens at least, and cut to three quarters of a smaller output limit; "
        "without a number it is middling",
        "thinking effort": "minimal is low, the least that there is",
        "sampling": "temperature is 1 at most and beats top_p; with thinking on, both and top_k are left out",
        "service tier": "flex, scale and other tiers are left out; priority becomes auto",
        "tool arguments": WRAPPED_ARGUMENTS,
        "tool call ids": "characters other than letters, digits, _ and - are written as their numbers",
        "allowed tools": "tools that may not be called are left out of the request",
        "response format": "JSON without a schema is asked for in words; of a schema, name, description and "
        "strictness are left out and objects take no other fields",
        "images": "how closely one is to be looked at, and its name; those of the assistant are shown by "
        "the user instead",
        "cache breakpoints": "all last five minutes; those on media are left out",
        "files": "only PDF and text",
        "answers": "images, and what the other provider's own tools did, are left out",
        "citations": "offsets are left out: a whole text cites",
        "stop reasons": "one that the provider lacks becomes end_turn",
        "whole answers": "a tool call with half of its arguments is left out, and the answer counts as cut",
        "history": "the client's: citations, and what the provider's own tools did, are left out",
    },
)
