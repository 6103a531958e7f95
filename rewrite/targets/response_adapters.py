"""What makes the answer of another model or provider look, within one protocol, like one of those that the
client asked: adapters of every such call, which no config names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocols.base import Editor, WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.wirejson import JsonObject, inside
from protocols.shared.signatures import wrapped_by
from rewrite.adapters.base import Adapter, Context, Events, Unchanged
from rewrite.catalog.routes import Route

_INNER = ("message", "response")
_MODEL = ("model", "modelVersion")


@dataclass(frozen=True, slots=True)
class WrappedSignatures(Unchanged):
    """What the provider signed goes to the client in envelopes, so that it comes back to this one alone."""

    editor: Editor
    name: str = "wrapped_signatures"

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self.editor.wrap_signatures(body, wrapped_by(context.provider))

    def stream(self, context: Context) -> Events | None:
        wrap = wrapped_by(context.provider)
        return lambda event: (self.editor.wrap_signatures(event, wrap),)


@dataclass(frozen=True, slots=True)
class Unwrapped(Unchanged):
    """The answer comes without an envelope that the client does not know."""

    unwrap: Callable[[JsonObject], JsonObject]
    name: str = "unwrapped"

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self.unwrap(body)

    def stream(self, context: Context) -> Events | None:
        return lambda event: (self.unwrap(event),)


@dataclass(frozen=True, slots=True)
class ReportedModel(Unchanged):
    """The answer names the model that the client asked for. Every protocol names it at the top, or in the
    object of a message or response there."""

    model: str
    name: str = "reported_model"

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self._named(body)

    def stream(self, context: Context) -> Events | None:
        return lambda event: (self._named(event),)

    def _named(self, body: JsonObject) -> JsonObject:
        for key in _INNER:
            body = inside(body, key, self._own)
        return self._own(body)

    def _own(self, body: JsonObject) -> JsonObject:
        own = {key: self.model for key in _MODEL if isinstance(body.get(key), str)}
        return {**body, **own} if own else body


def like_asked(call: Call, protocol: WireProtocol, route: Route, reported: str) -> Iterator[Adapter]:
    """Those for the answer to `call`, of a client of `protocol`, at `route`. `reported`: the model that the
    answer names; empty: the one that served."""
    if unwrap := _unwrapping(call, protocol, route):
        yield Unwrapped(unwrap)
    if not route.original and call.operation is Operation.GENERATE and protocol.editor:
        yield WrappedSignatures(protocol.editor)
    if route.model != call.model and reported:
        yield ReportedModel(reported)


def _unwrapping(
    call: Call, protocol: WireProtocol, route: Route
) -> Callable[[JsonObject], JsonObject] | None:
    if route.original or protocol.editor is None or protocol.editor.unwrap is None:
        return None
    return protocol.editor.unwrap(call, route.provider.paths.get(protocol.name, ""))
