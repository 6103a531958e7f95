"""What the protocol cannot say, and which of its losses happen to one request."""

from collections.abc import Callable, Mapping

from protocols.base import Abilities, Occurs, Trait, Written
from protocols.model.call import Call
from protocols.model.prompt import Effort, Media, MediaForm, MediaKind, Text, Thought, effort_of
from protocols.openai_chat.reasoning import DETAILS, SIGNATURE
from protocols.openai_chat.request_read import participants
from protocols.shared.losses import (
    WRAPPED_ARGUMENTS,
    failed_tools,
    fewer_tools,
    limited,
    media_in_results,
    media_of_the_model,
    results,
    thoughts,
    wrapped_arguments,
)
from protocols.shared.signatures import PLAIN

_TAKEN = (DETAILS, PLAIN, SIGNATURE)


def _together(one: Written) -> bool:
    """A user's texts beside media stay apart."""
    said = [message.content for message in one.prompt.messages]
    apart = [content for content in said if not any(isinstance(each, Media) for each in content)]
    groups = [one.prompt.system, *apart, *(result.content for result in results(one.prompt))]
    return any(sum(isinstance(each, Text) for each in group) > 1 for group in groups)


def _not_taken(thought: Thought) -> bool:
    """Of a signature's thought only the signature has a place."""
    form = thought.signature.form if thought.signature else ""
    return form not in _TAKEN or (form == SIGNATURE and bool(thought.text))


def _off(one: Written) -> bool:
    thinking = one.prompt.thinking
    may_think = one.target.thinking != "none"
    return may_think and bool(thinking and thinking.off) and "reasoning_effort" not in one.body


def _less(one: Written) -> bool:
    """Asked for less than the client did."""
    asked, said = one.prompt.thinking, one.body.get("reasoning_effort")
    return said == Effort.XHIGH and asked is not None and effort_of(asked) is Effort.MAX


HAPPENS: Mapping[str, Occurs] = {
    "tool arguments": Occurs(Trait.CALL, wrapped_arguments),
    "texts": Occurs(Trait.SEVERAL, _together),
    "cache breakpoints": Occurs(Trait.CACHE),
    "failed tools": Occurs(Trait.RESULT, failed_tools),
    "media in tool results": Occurs(Trait.RESULT, media_in_results),
    "pictures of the model": Occurs(Trait.MEDIA, media_of_the_model),
    "reasoning": Occurs(Trait.THOUGHT, lambda one: any(map(_not_taken, thoughts(one.prompt)))),
    "thinking off": Occurs(Trait.THINKING, _off),
    "highest effort": Occurs(Trait.THINKING, _less),
    "max_output": Occurs(Trait.LIMIT, limited),
    "service tier": Occurs(Trait.TIER, lambda one: "service_tier" not in one.body),
    "tool choice": Occurs(Trait.TOOLS, fewer_tools),
}
UNREAD: Mapping[str, Callable[[Call], bool]] = {"participants": participants}

ABILITIES = Abilities(
    lacks={
        "top_k": "OpenAI refuses it",
        "logprobs": "an answer's probabilities are not carried over from one protocol to another",
        "metadata": "OpenAI takes it only with answers that it is to store",
    },
    media={
        MediaKind.IMAGE: frozenset({MediaForm.DATA, MediaForm.URL}),
        MediaKind.AUDIO: frozenset({MediaForm.DATA}),
        MediaKind.FILE: frozenset({MediaForm.DATA}),
    },
    several_choices=True,
    happens=HAPPENS,
    unread=UNREAD,
    losses={
        "participants": "the names of a request's participants are left out, and developers are the system",
        "texts": "texts that stand together in a message become one",
        "cache breakpoints": "providers of Chat place them by themselves",
        "tool arguments": WRAPPED_ARGUMENTS,
        "failed tools": "a tool's result has no mark that it failed; its text stays as it is",
        "media in tool results": "they go into a message of the user after the results",
        "pictures of the model": "those of earlier turns are left out of a request",
        "reasoning": "goes back to a provider only where one of Chat's gave it",
        "place of reasoning": "a Chat client gets all of an answer's reasoning before its text",
        "thinking off": "is not said to a model of which it is unknown how it is asked to think",
        "highest effort": "max is said as xhigh, the highest word of OpenAI's",
        "max_output": "never more than the model can give, where that is known",
        "service tier": "one that no provider of Chat knows is left out",
        "tool choice": "where only some tools may be called, only these are sent",
        "hosted tools": "what a provider's own tools did is not shown to a Chat client",
        "audio": "sound that a model makes is not shown to a Chat client",
        "pause": "a turn that is to be continued ends as stop",
    },
)
