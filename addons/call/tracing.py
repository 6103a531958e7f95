"""What crosses the edge in a traced call."""

from collections.abc import Mapping, Sequence

from mitmproxy import http

from addons.call.response import Response
from addons.mitm.messages import headers_of
from protocols.model.call import Call
from protocols.model.http import Head, Headers, UpstreamRequest, WireRequest
from protocols.model.wirejson import JsonObject, given, whole
from rewrite.catalog.routes import Rule
from rewrite.hooks.calling import HookFailed
from rewrite.records.passes import CallTrace, Direction, Stage, fields_of
from rewrite.targets.target import Target


def head_of_request(method: str, target: str, headers: Headers) -> JsonObject:
    """`target`: its path, or its whole URL."""
    return {"method": method, "target": target, "headers": fields_of(headers)}


def head_of_response(response: http.Response) -> JsonObject:
    return {"status": response.status_code, "headers": fields_of(headers_of(response))}


def note_received(trace: CallTrace, request: WireRequest) -> None:
    """The request of the client, whose credential was taken out."""
    head = head_of_request(request.method, request.target, request.headers)
    data = {**head, "body": request.body}
    trace.note("raw_request", Direction.REQUEST, Stage.CLIENT, data, changed=True)


def note_sent(trace: CallTrace, request: UpstreamRequest, received: WireRequest) -> None:
    """The request of an attempt, as it leaves, but for signatures. `received`: that of the client."""
    head = head_of_request(request.method, request.origin.url(request.target), request.recorded_headers)
    data = {**head, "body": request.body}
    changed = request.body != received.body or request.headers != received.headers
    trace.note("sent_request", Direction.REQUEST, Stage.PROVIDER, data, changed=changed)


def note_fields(trace: CallTrace, fields: Headers, request: UpstreamRequest, received: WireRequest) -> None:
    """Which of `fields`, the headers that the field cache has for an attempt, `request` got of it."""
    injected = tuple(pair for pair in fields if pair in request.headers and pair not in received.headers)
    if injected:
        trace.note("injection_before", Direction.REQUEST, Stage.PROXY, {"target": "headers"})
        data = {"headers": fields_of(injected)}
        trace.note("injection_after", Direction.REQUEST, Stage.PROXY, data, changed=True)


def note_parsed(trace: CallTrace, call: Call, *, expanded: bool) -> None:
    """What was read of the request. `expanded`: its body has the turns in it that it continues."""
    data = given(
        operation=call.operation.value,
        model=call.model,
        stream=call.stream,
        reasoning=call.reasoning.value,
        body=whole(call.body) if expanded else None,
    )
    trace.note("parsed_request", Direction.REQUEST, Stage.PROXY, data, changed=expanded)


def note_routing(trace: CallTrace, rule: Rule, targets: Sequence[Target], skipped: Mapping[str, str]) -> None:
    """Where the call may go, in order, and why not elsewhere."""
    data = {"rule": _said(rule), "targets": [_target(each) for each in targets], "skipped": dict(skipped)}
    trace.note("routing", Direction.REQUEST, Stage.PROXY, data)


def _said(rule: Rule) -> JsonObject | None:
    """A route of the config. None: none fits."""
    if rule == Rule():
        return None
    match = rule.match
    globs = {name: getattr(match, name) or None for name in ("model", "provider", "protocol", "path")}
    to = [f"{one.provider}/{one.model}" if one.model else one.provider for one in rule.to]
    return given(
        match=given(**globs, headers=dict(match.headers) or None),
        to=to or None,
        protocol=rule.protocol or None,
        adapters=[adapter.name for adapter in rule.adapters] or None,
        on_truncation=rule.on_truncation.value if rule.on_truncation else None,
    )


def _target(target: Target) -> JsonObject:
    return {
        "target": target.label,
        "protocol": target.protocol.name,
        "losses": [{"field": loss.field, "why": loss.why} for loss in target.losses],
        "headers_dropped": target.dropped(target.call.headers),
    }


def note_fault(trace: CallTrace, error: Exception) -> None:
    """A fault of ours, or of a provider's own code, ends the call."""
    data = given(error=type(error).__name__, detail=str(error) if isinstance(error, HookFailed) else None)
    trace.note("internal_error", Direction.RESPONSE, Stage.PROXY, data)


def note_refused_token(trace: CallTrace, head: Head, body: bytes) -> None:
    """The answer to a token that does not hold any more: the attempt is asked again with another."""
    refused = {**_head(head), "body": body}
    trace.note("raw_response", Direction.RESPONSE, Stage.PROVIDER, refused, changed=True)
    again = {"decision": "retry", "after": "the token was refused"}
    trace.note("retry", Direction.REQUEST, Stage.PROXY, again)


def note_heads(trace: CallTrace, head: Head, given: Head) -> None:
    """The answer to what is passed on: its `head` as it came, and as the client gets it."""
    trace.note("raw_response", Direction.RESPONSE, Stage.PROVIDER, _head(head), changed=True)
    trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT, _head(given), changed=given is not head)


def _head(head: Head) -> JsonObject:
    return {"status": head.status, "headers": fields_of(head.headers)}


class TracedResponse:
    """A response whose head and bytes are noted as they go to the client."""

    def __init__(self, response: Response, trace: CallTrace) -> None:
        self._response, self._trace = response, trace
        self.head: JsonObject = {}
        """Status and headers as they went out. Empty: they did not."""
        self.end, self.drained, self.abort = response.end, response.drained, response.abort

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        fields = [
            [name.decode("utf-8", "replace"), value.decode("utf-8", "replace")] for name, value in headers
        ]
        self.head = {"status": status, "headers": fields}
        return self._response.start(status, reason, headers)

    def send(self, data: bytes) -> bool:
        self._trace.to_client(data)
        return self._response.send(data)
