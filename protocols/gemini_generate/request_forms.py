"""The forms in which requests of the protocol come: both spellings, the envelope of Code Assist."""

import re

from protocols.model.call import Call
from protocols.model.wirejson import JsonObject, object_at, objects_at

SSE_QUERY = "alt=sse"
_ENVELOPE = re.compile(r"/v\d+internal:")
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_CLIENT_RUN = frozenset({"functionDeclarations", "computerUse"})
_ACTING = frozenset({"codeExecution", "mcpServers"})


def spelled(mapping: JsonObject) -> JsonObject:
    """`mapping` with its own names in camel case: REST and SDKs take both spellings of every field."""
    if not any("_" in name for name in mapping):
        return mapping
    return {_UNDERSCORE.sub(lambda found: found[1].upper(), name): value for name, value in mapping.items()}


def in_envelope(target: str) -> bool:
    """Whether a path is of Code Assist, whose bodies hold `request` and whose answers hold `response`."""
    return _ENVELOPE.search(target.partition("?")[0]) is not None


def asked(call: Call) -> JsonObject:
    """The request proper, its top-level names in camel case."""
    return spelled(object_at(call.body, "request") if in_envelope(call.target) else call.body)


def hosted_tools(request: JsonObject) -> tuple[bool, bool]:
    """Whether a request declares tools that the provider runs, and whether some of them act."""
    names = {name for tool in objects_at(request, "tools") for name in spelled(tool)}
    return bool(names - _CLIENT_RUN), bool(names & _ACTING)
