"""A provider's hooks in a traced call: what each of them made of a request or an answer, and which failed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.model.call import Rendered
from protocols.model.wirejson import JsonObject
from rewrite.hooks.calling import CallHooks
from rewrite.records.passes import Direction, Stage, TargetTrace, fields_of

_READ_ALONG = "read_usage"
"""The hook that changes no answer."""


@dataclass(frozen=True, slots=True)
class TracedHooks(CallHooks):
    """See `CallHooks`."""

    trace: TargetTrace = field(kw_only=True)

    def prepared(self, request: Rendered) -> Rendered:
        found = CallHooks.prepared(self, request)
        if found is not request:
            data = {"path": found.path, "headers": fields_of(found.headers), "body": found.body}
            self.trace.planned("hook:prepare_request", data, changed=True)
        return found

    def _read[R](self, name: str, given: object, otherwise: R, check: Callable[[object], None]) -> R:
        failed = frozenset(self.failures)
        found = CallHooks._read(self, name, given, otherwise, check)
        if self.failures.keys() - failed:
            self._note(name, {"error": self.failures[name]})
        elif found is not given and name != _READ_ALONG:
            self._note(name, {"before": given, "after": found}, changed=True)
        return found

    def _note(self, name: str, data: JsonObject, *, changed: bool = False) -> None:
        is_event = name == "read_part" and self.about.stream
        direction = Direction.STREAM if is_event else Direction.RESPONSE
        self.trace.call.note(f"hook:{name}", direction, Stage.PROXY, data, changed=changed)
