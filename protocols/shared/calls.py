"""What reading a request has in common among protocols: an operation by its path, a call by its JSON body."""

import re
from collections.abc import Sequence

from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.wirejson import load_object, text_at, text_size

type Paths = Sequence[tuple[str, re.Pattern[str], Operation]]
"""Method and pattern, searched in the path without its query; the first that fits is the operation."""


def matched(paths: Paths, method: str, path: str) -> Operation | None:
    found = (operation for known, pattern, operation in paths if known == method and pattern.search(path))
    return next(found, None)


def json_call(protocol: str, call_id: str, operation: Operation, request: WireRequest) -> Call:
    """A call whose body names `model` and, to generate, `stream`; a list of models has no body.

    Raises MalformedRequest if the body is not a JSON object.
    """
    if operation is Operation.MODELS:
        return Call(call_id, protocol, operation, None, False, request.headers, target=request.target)
    body = load_object(request.body)
    if body is None:
        raise MalformedRequest("the body is not a JSON object")
    stream = operation is Operation.GENERATE and body.get("stream") is True
    return Call(
        call_id,
        protocol,
        operation,
        text_at(body, "model") or None,
        stream,
        request.headers,
        body,
        text_bytes=text_size(request.body),
        target=request.target,
    )
