"""A Chat request for another model, or asked for the other way: streamed or whole."""

import re
from dataclasses import replace
from urllib.parse import quote

from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.wirejson import JsonObject, object_at, text_at
from protocols.openai_chat.request_write import path

_LIMITS = ("max_completion_tokens", "max_tokens")
_DEPLOYMENT = re.compile(r"/deployments/[^/?]+/")


def retarget(call: Call, destination: Destination) -> Rendered:
    """A list of models is asked for without a body. Where the target has no path of its own, the call's
    stays, which is seldom OpenAI's."""
    body = {} if call.operation is Operation.MODELS else {**call.body, "model": destination.model}
    own = "" if destination.path else call.target
    return Rendered(_deployed(own, destination) if own else path(destination, call.operation), body)


def _deployed(asked: str, destination: Destination) -> str:
    """Path and query of a call for another model of its provider: Azure has the deployment's name in them."""
    return _DEPLOYMENT.sub(lambda _: f"/deployments/{quote(destination.model, safe='')}/", asked, count=1)


def with_stream(call: Call, stream: bool) -> Call:
    """Sound is streamed in one form only, which a client that wants it whole may not have asked for."""
    sound = text_at(object_at(call.body, "audio"), "format")
    if stream and sound not in ("", "pcm16"):
        return call
    options = {**object_at(call.body, "stream_options"), "include_usage": True}
    others = {name: value for name, value in call.body.items() if name != "stream_options"}
    body = {**others, "stream": stream, **({"stream_options": options} if stream else {})}
    return replace(call, body=body, stream=stream)


def with_limit(call: Call, limit: int, named: str) -> JsonObject:
    stated = any(call.body.get(each) is not None for each in _LIMITS)
    return call.body if stated else {**call.body, named: limit}
