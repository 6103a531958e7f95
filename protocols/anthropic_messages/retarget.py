"""A request of the protocol for another model, or asked for the other way: streamed or whole."""

from dataclasses import replace

from protocols.anthropic_messages.request_write import path
from protocols.model.call import Call, Destination, Rendered
from protocols.model.wirejson import JsonObject


def retarget(call: Call, destination: Destination) -> Rendered:
    """The client's query stays, and its path where the target has none of its own."""
    body = {**call.body, "model": destination.model}
    if own := "" if destination.path else call.target:
        return Rendered(own, body)
    query = call.target.partition("?")[2]
    return Rendered(path(destination, call.operation) + (f"?{query}" if query else ""), body)


def with_stream(call: Call, stream: bool) -> Call:
    return replace(call, body={**call.body, "stream": stream}, stream=stream)


def with_limit(call: Call, limit: int, _: str) -> JsonObject:
    stated = call.body.get("max_tokens") is not None
    return call.body if stated else {**call.body, "max_tokens": limit}
