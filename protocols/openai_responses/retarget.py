"""A request of the protocol for another model, or asked for the other way: streamed or whole."""

from dataclasses import replace

from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.wirejson import JsonObject
from protocols.openai_responses.request_write import path


def retarget(call: Call, destination: Destination) -> Rendered:
    """Where the target has no path of its own, the call's stays: Azure's and ChatGPT's differ from the
    protocol's. A list of models is asked for without a body."""
    models = call.operation is Operation.MODELS
    own = path(destination, call.operation) if destination.path or not call.target else call.target
    return Rendered(own, {} if models else {**call.body, "model": destination.model})


def with_stream(call: Call, stream: bool) -> Call:
    without = () if stream else ("stream_options",)
    kept = {name: value for name, value in call.body.items() if name not in without}
    return replace(call, body={**kept, "stream": stream}, stream=stream)


def with_limit(call: Call, limit: int, _: str) -> JsonObject:
    stated = call.body.get("max_output_tokens") is not None
    return call.body if stated else {**call.body, "max_output_tokens": limit}
