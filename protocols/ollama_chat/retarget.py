"""A request of the protocol for another model, or asked for the other way: streamed or whole."""

from dataclasses import replace

from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.wirejson import JsonObject, object_at
from protocols.ollama_chat.request_write import GENERATION, path

_EMBED, _OLDER_EMBED = "/api/embed", "/api/embeddings"


def retarget(call: Call, destination: Destination) -> Rendered:
    """A list of models is asked for without a body. Where the target has no path of its own, the call's
    stays."""
    body = {} if call.operation is Operation.MODELS else {**call.body, "model": destination.model}
    if own := "" if destination.path else call.target:
        return Rendered(own, body)
    asked = call.target.partition("?")[0]
    match call.operation:
        case Operation.MODELS:
            suffix = "/api/tags"
        case Operation.EMBEDDINGS:
            suffix = _OLDER_EMBED if asked.endswith(_OLDER_EMBED) else _EMBED
        case _:
            suffix = GENERATION
    return Rendered(path(destination, suffix), body)


def with_stream(call: Call, stream: bool) -> Call:
    return replace(call, body={**call.body, "stream": stream}, stream=stream)


def with_limit(call: Call, limit: int, _: str) -> JsonObject:
    options = object_at(call.body, "options")
    stated = options.get("num_predict") is not None
    return call.body if stated else {**call.body, "options": {**options, "num_predict": limit}}
