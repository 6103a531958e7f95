"""What is known of a model changes what it is asked: a limit that no client stated, parameters that it
refuses. Generations alone are changed."""

from collections.abc import Sequence
from dataclasses import replace

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context
from rewrite.catalog.providers import ModelFacts
from rewrite.records.passes import TargetTrace


def with_limit(
    call: Call, body: JsonObject, protocol: WireProtocol, model: ModelFacts, named: str
) -> JsonObject:
    """`body` of `call`, of a client of `protocol`, with the limit of `model` where it states none; `named`:
    what Chat calls it there."""
    default = model.default_output
    if default is None or protocol.editor is None or not _is_generation(call, body):
        return body
    return protocol.editor.with_limit(replace(call, body=body), default, named)


def without_refused(
    call: Call, body: JsonObject, model: ModelFacts, context: Context, trace: TargetTrace | None
) -> tuple[JsonObject, Sequence[tuple[str, str]]]:
    """`body` of `call` without what `model` refuses, and what that was, with why; the same object where it
    has none of that."""
    whose = f"{context.provider}/{context.model}" if context.model else context.provider
    losses: list[tuple[str, str]] = []
    for each in model.refuses or () if _is_generation(call, body) else ():
        without = each.adapter.request(body, context)
        if without is not body:
            losses.append((each.param, f"is refused by {whose}"))
        body = without
    if losses and trace is not None:
        trace.planned("adapter:drop_params", body, changed=True)
    return body, losses


def _is_generation(call: Call, body: JsonObject) -> bool:
    return call.operation is Operation.GENERATE and bool(body)
