"""Which of the protocol's losses happen to one request."""

from collections.abc import Callable, Iterator, Mapping

from protocols.base import Written
from protocols.model.call import Call
from protocols.model.wirejson import JsonObject, objects_at, text_at
from protocols.openai_responses.request_read import DROPPED
from protocols.openai_responses.request_write import LEAST_OUTPUT
from protocols.openai_responses.tools import ADDITIONAL
from protocols.openai_responses.vocabulary import ENCRYPTED
from protocols.shared.losses import cached, failed_tools, media_of_the_model, thoughts, wrapped_arguments


def _too_little(one: Written) -> bool:
    return one.prompt.max_output is not None and one.prompt.max_output < LEAST_OUTPUT


def _of_others(one: Written) -> bool:
    return any(each.seal is None or each.seal.form != ENCRYPTED for each in thoughts(one.prompt))


HAPPENS: Mapping[str, Callable[[Written], bool]] = {
    "tool arguments": wrapped_arguments,
    "cache breakpoints": cached,
    "max_output": _too_little,
    "assistant media": media_of_the_model,
    "tool errors": failed_tools,
    "reasoning": _of_others,
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
