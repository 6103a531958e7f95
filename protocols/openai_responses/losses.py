"""What the protocol cannot say, and which of its losses happen to one request."""

from collections.abc import Callable, Iterator, Mapping

from protocols.base import Abilities, Occurs, Trait, Written
from protocols.model.call import Call
from protocols.model.prompt import MediaForm, MediaKind
from protocols.model.wirejson import JsonObject, objects_at, text_at
from protocols.openai_responses.reasoning import ENCRYPTED
from protocols.openai_responses.request_read import DROPPED
from protocols.openai_responses.request_write import LEAST_OUTPUT
from protocols.openai_responses.tools import ADDITIONAL
from protocols.shared.losses import (
    WRAPPED_ARGUMENTS,
    failed_tools,
    media_of_the_model,
    thoughts,
    wrapped_arguments,
)


def _too_little(one: Written) -> bool:
    return one.prompt.max_output is not None and one.prompt.max_output < LEAST_OUTPUT


def _of_others(one: Written) -> bool:
    return any(each.signature is None or each.signature.form != ENCRYPTED for each in thoughts(one.prompt))


HAPPENS: Mapping[str, Occurs] = {
    "tool arguments": Occurs(Trait.CALL, wrapped_arguments),
    "cache breakpoints": Occurs(Trait.CACHE),
    "max_output": Occurs(Trait.LIMIT, _too_little),
    "assistant media": Occurs(Trait.MEDIA, media_of_the_model),
    "tool errors": Occurs(Trait.RESULT, failed_tools),
    "reasoning": Occurs(Trait.THOUGHT, _of_others),
}


def _tools(body: JsonObject) -> Iterator[JsonObject]:
    yield from objects_at(body, "tools")
    for item in objects_at(body, "input"):
        if text_at(item, "type") == ADDITIONAL:
            yield from objects_at(item, "tools")


def _described(call: Call) -> bool:
    spaces = (tool for tool in _tools(call.body) if text_at(tool, "type") == "namespace")
    return any(text_at(space, "description") for space in spaces)


def _hosted(call: Call) -> bool:
    return any(text_at(item, "type") in DROPPED for item in objects_at(call.body, "input"))


def _cited(call: Call) -> bool:
    said = (part for item in objects_at(call.body, "input") for part in objects_at(item, "content"))
    return any(part.get("annotations") for part in said)


UNREAD: Mapping[str, Callable[[Call], bool]] = {
    "namespaces": _described,
    "hosted items": _hosted,
    "history": _cited,
}

ABILITIES = Abilities(
    lacks={
        "choices": "one answer is asked for, not several",
        "stop": "stop sequences",
        "seed": "the seed",
        "top_k": "top_k",
        "frequency_penalty": "the frequency penalty",
        "presence_penalty": "the presence penalty",
    },
    media={
        MediaKind.IMAGE: frozenset({MediaForm.DATA, MediaForm.URL}),
        MediaKind.FILE: frozenset({MediaForm.DATA, MediaForm.URL}),
    },
    custom_tools=True,
    happens=HAPPENS,
    unread=UNREAD,
    losses={
        "cache breakpoints": "are left out: the provider finds what it can cache by itself",
        "max_output": "below 16 tokens becomes 16, the least that is taken",
        "assistant media": "follow the assistant's message as the user's, and after its text",
        "tool arguments": WRAPPED_ARGUMENTS,
        "tool errors": "the mark that a tool failed is left out; what it said stays",
        "reasoning": "is sent back only as this protocol's own encrypted items",
        "namespaces": "lose their description",
        "hosted items": "what the provider's own tools did in earlier turns is dropped; its text stays",
        "history": "citations in a client's earlier answers are left out",
        "citations": "those of files and containers are dropped, those of addresses stay",
        "pause": "ends as an incomplete response without a reason",
        "hosted output": "of the parts that a provider's own tools make only images are written",
    },
)
