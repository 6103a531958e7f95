"""The record of calls: one line on the log, plain data in the flow, a comment for a reader of mitmweb.

This is the one place where records are written, and the one where they are redacted.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.flow import Error, Flow
from mitmproxy.master import Master

from addons.records.entry import Price, entry_of, unpriced
from addons.records.record import Record
from addons.secrets.redaction import LONGEST_NAME, Redactor, fault
from addons.upstream.network import Reached
from protocols.model.http import Origin
from rewrite.credentials.notices import Notice
from rewrite.targets.target import Target
from rewrite.usage.entry import CallEntry
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Outcome, Rejected

KEY = "rotator"
"""Where a flow's record is in `flow.metadata`: small plain data, since it is copied and saved."""

LAST_TURNS = 20
"""How many turns of a WebSocket stand in its flow's record."""

BETWEEN_TURNS = "\n\n"

log = logging.getLogger("rotator")
_MARKERS = {
    "refused": ":no_entry:",
    "truncated": ":scissors:",
    "failed": ":scissors:",
    "rejected": ":no_entry:",
    "error": ":warning:",
}


def record_of(flow: http.HTTPFlow) -> dict[str, Any]:
    """What is recorded of a flow; nothing where another add-on, or a file, has put something else."""
    record = flow.metadata.get(KEY)
    return record if isinstance(record, dict) else {}


class Journal:
    """Writes records; `redactor` sees every text of them."""

    def __init__(
        self,
        redactor: Redactor,
        updated: Callable[[Flow], None] = lambda _: None,
        listeners: Sequence[Callable[[CallEntry], None]] = (),
        price: Price = unpriced,
    ) -> None:
        """`updated` shows a flow again that has not ended. `listeners` get the entry of each call that is
        over, on the event loop: each only puts it by. `price` says what tokens cost."""
        self._redactor, self._updated = redactor, updated
        self._listeners, self._price = listeners, price
        self._tally = Tally()

    def begin(self, flow: http.HTTPFlow, record: Mapping[str, object]) -> None:
        """The flow is ours: what is known of it before anything is sent."""
        flow.metadata[KEY] = self._redactor.lines({**record_of(flow), **record})

    def end(self, record: Record, summary: Summary) -> None:
        """The call is over: its line, and its record in the flow."""
        summary = _killed_by_user(record.flow, summary)
        flow, now = record.flow, time.time()
        dropped = _dropped(record, summary)
        found = _record(record, summary, dropped), [*_sentences(record, summary, dropped)]
        kept, sentences = self._redactor.lines(found)
        flow.metadata[KEY] = {**record_of(flow), **kept}
        flow.comment = "\n".join(sentences)
        flow.marked = _MARKERS.get(summary.end, flow.marked)
        flow.server_conn = _asked(record, summary, now) or flow.server_conn
        log.info("%s", self._redactor.redact(_line(kept)))
        self._tally.note(summary, [_served(one, record) for one in summary.attempts])
        entry = entry_of(record, summary, kept, now, self._price)
        for listener in self._listeners:
            listener(entry)

    def reached(self, flow: http.HTTPFlow, origin: Origin, reached: Reached) -> None:
        """An attempt is answered: by whom, for the inspector, while the answer comes."""
        flow.server_conn = copy(_connected(origin, reached))

    def close(self) -> None:
        """The proxy ends: what came of all calls, by credential."""
        for each in self._tally.lines():
            log.info("summary: %s", self._redactor.redact(each))

    def waiting(self, record: Record, seconds: float, why: str) -> None:
        """No attempt of the call is under way, and none will be for `seconds`."""
        self._meanwhile(record, f"waits {seconds:.0f} s for another attempt: {why}")

    def in_line(self, record: Record, seconds: float | None, why: str) -> None:
        """The call waits for a credential: for `seconds`, or if that is None until a place is free."""
        due = "" if seconds is None else f", which is due in {seconds:.0f} s"
        self._meanwhile(record, f"waits in line for a key{due}: {why}")

    def asked_again(self, record: Record, seconds: float, why: str) -> None:
        """An attempt of the call failed after `seconds`, and another begins."""
        self._meanwhile(record, f"is asked again after {seconds:.0f} s: {why}")

    def _meanwhile(self, record: Record, what: str) -> None:
        call, message = record.call, self._redactor.line(what)
        record.flow.comment = message
        self._updated(record.flow)
        named = self._redactor.line(call.model or call.operation.value, LONGEST_NAME)
        log.info("call=%s provider=%s model=%s: %s", call.id, record.provider, named, message)

    def turn(self, flow: http.HTTPFlow, turn: http.HTTPFlow) -> None:
        """A turn of the WebSocket of `flow` is over, whose record is in `turn`: the last ones stay."""
        record = record_of(flow)
        turns = [*record.get("turns", ()), record_of(turn)][-LAST_TURNS:]
        flow.metadata[KEY] = {**record, "turns": turns}
        comments = [*flow.comment.split(BETWEEN_TURNS), turn.comment][-LAST_TURNS:]
        flow.comment = BETWEEN_TURNS.join(filter(None, comments))
        flow.marked = turn.marked or flow.marked

    def failed(self, what: str, error: BaseException) -> None:
        """A fault of ours."""
        log.error("%s", self._redactor.redact(f"{what}: {fault(error)}"))

    def notice(self, notice: Notice) -> None:
        """What the user has to know besides the calls."""
        level = logging.WARNING if notice.warning else logging.INFO
        log.log(level, "%s", self._redactor.redact(notice.text))


@dataclass(slots=True)
class _Served:
    """What one credential was used for."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Its attempts, by what came of them."""
    tokens_in: int = 0
    """Of the requests that it answered."""
    tokens_out: int = 0
    """Of its answers."""


class Tally:
    """Counts the calls of a run, and what came of their attempts, by credential."""

    def __init__(self) -> None:
        self._calls = 0
        self._served: dict[str, _Served] = {}

    def note(self, summary: Summary, credentials: list[str]) -> None:
        """A call is over; `credentials`: the provider/name of each of its attempts, in order."""
        self._calls += 1
        for ended, credential in zip(summary.attempts, credentials, strict=True):
            self._served.setdefault(credential, _Served()).outcomes[_kind(ended.outcome)] += 1
        if credentials and (usage := summary.progress.usage):
            served = self._served[credentials[-1]]
            served.tokens_in += usage.input or 0
            served.tokens_out += usage.output or 0

    def lines(self) -> Iterator[str]:
        """Nothing where there was no call."""
        if self._calls:
            yield f"{self._calls} {'call' if self._calls == 1 else 'calls'}"
        for credential, served in sorted(self._served.items()):
            outcomes = ", ".join(f"{number} {kind}" for kind, number in served.outcomes.most_common())
            tokens = f"; tokens: {served.tokens_in} in, {served.tokens_out} out"
            yield f"{credential}: {outcomes}{tokens if served.tokens_in or served.tokens_out else ''}"


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return f"rejected ({outcome.status} {outcome.kind})"
    return type(outcome).__name__.lower()


class WhileHeard(logging.Filter):
    """Lets records through to the `add_log` of add-ons as long as any has one and the event loop runs.

    mitmproxy formats each record for them a second time, wakes the loop, and asks every add-on there: 67 of
    the 83 us that a line takes. Of its own add-ons none listens any more.
    """

    def __init__(self, running: Master) -> None:
        super().__init__()
        self._running = running

    def filter(self, record: logging.LogRecord) -> bool:
        return _listens(self._running.addons.chain) and not self._running.event_loop.is_closed()


def _listens(addons: Iterable[object]) -> bool:
    """Whether one of them, or of what is nested in them, has an `add_log`."""
    for each in addons:
        if hasattr(each, "add_log") or (hasattr(each, "addons") and _listens(each.addons)):
            return True
    return False


def _killed_by_user(flow: http.HTTPFlow, summary: Summary) -> Summary:
    """A call ends in the same way when its client leaves and when the user kills its flow."""
    if summary.end != "abandoned" or flow.error is None or flow.error.msg != Error.KILLED_MESSAGE:
        return summary
    return replace(summary, end="killed", detail="the user killed the flow")


def _asked(record: Record, summary: Summary, now: float) -> Server | None:
    """The provider that the call ended at, for the inspector, and until when; None: nobody was asked.

    Where no attempt reached it, with the time when the last one began. `now` in seconds since the epoch.
    """
    origin = record.targets[summary.target].origin if record.targets else None
    if origin is None or not summary.attempts:
        return None
    *before, last = (now - summary.seconds + one.at - summary.began for one in summary.attempts)
    server = record.flow.server_conn
    if server.address != origin.address or server.timestamp_tcp_setup is None:
        server = _server(origin, before[-1] if before else now - summary.seconds)
    server.timestamp_end = last
    return server


@lru_cache
def _connected(origin: Origin, reached: Reached) -> Server:
    """The connection that it is. Each call over it gets a copy, which ends with the call."""
    server = _server(origin, reached.began)
    server.peername = reached.peer
    server.timestamp_tcp_setup = reached.connected
    server.timestamp_tls_setup = reached.secured
    return server


def _server(origin: Origin, start: float) -> Server:
    sni = origin.host if origin.is_secure else None
    return Server(address=origin.address, tls=origin.is_secure, sni=sni, timestamp_start=start)


def _dropped(record: Record, summary: Summary) -> Sequence[str]:
    """The names of the client's headers that its provider did not get."""
    return record.targets[summary.target].dropped(record.call.headers) if record.targets else ()


def _record(record: Record, summary: Summary, dropped: Sequence[str]) -> dict[str, object]:
    call, usage = record.call, summary.progress.usage
    return {
        "call": call.id,
        "provider": record.targets[summary.target].provider.name if record.targets else record.provider,
        "protocol": call.protocol,
        "operation": call.operation.value,
        "model": call.model,
        "served": _named_model(summary),
        "stream": call.stream,
        "end": summary.end,
        "truncated": summary.end == "truncated",
        "detail": summary.detail,
        "status": summary.status,
        "seconds": round(summary.seconds, 3),
        "first_token": None if summary.first_token is None else round(summary.first_token, 3),
        "tokens_in": usage.input if usage else None,
        "tokens_out": usage.output if usage else None,
        "usage_estimated": summary.estimated,
        "attempts": [_attempt(one, record, summary.began) for one in summary.attempts],
        **_routed(record, summary, dropped),
    }


def _named_model(summary: Summary) -> str | None:
    """The model that answered, as its provider names it."""
    head = summary.progress.head
    return head.model if head else None


def _routed(record: Record, summary: Summary, dropped: Sequence[str]) -> dict[str, object]:
    """What is recorded only where a call went elsewhere, or in another form, than its client asked."""
    found: dict[str, object] = {}
    if record.skipped:
        found["skipped"] = dict(record.skipped)
    if failed := _failed_hooks(record):
        found["hooks_failed"] = failed
    if record.targets:
        target = record.targets[summary.target]
        asked = target.provider.name, target.protocol.name
        if asked != (record.provider, record.call.protocol):
            found["target"] = f"{target.label} {target.protocol.name}"
        if target.losses:
            found["losses"] = [f"{loss.field}: {loss.why}" for loss in target.losses]
        if dropped:
            found["headers_dropped"] = dropped
    return found


def _failed_hooks(record: Record) -> list[str]:
    """What became of code of the providers' own that read answers."""
    return [why for target in record.targets if target.hooks for why in target.hooks.failures.values()]


def _served(one: Ended, record: Record) -> str:
    return f"{record.targets[one.target].provider.name}/{one.credential}"


def _attempt(one: Ended, record: Record, began: float) -> dict[str, object]:
    several = len(record.targets) > 1
    return {
        "attempt": one.number,
        **({"target": record.targets[one.target].label} if several else {}),
        "credential": one.credential,
        "outcome": one.outcome.label,
        "ended": round(one.at - began, 3),
        **({"reason": one.reason} if one.reason else {}),
        **({"asked_last": list(one.asked_last)} if one.asked_last else {}),
    }


def _line(record: Mapping[str, Any]) -> str:
    """logfmt: `key=value` pairs, values with spaces in quotes."""
    fields = {key: record.get(key) for key in _LINE_KEYS}
    fields["lost"] = ",".join([loss.partition(":")[0] for loss in record.get("losses", ())])
    fields["skipped"] = "; ".join([f"{label}: {why}" for label, why in record.get("skipped", {}).items()])
    fields["attempts"] = " ".join([_named(one) for one in record["attempts"]])
    return " ".join([f"{key}={_logfmt(value)}" for key, value in fields.items() if value not in (None, "")])


def _named(attempt: Mapping[str, str]) -> str:
    where = f"{attempt['target']}/" if "target" in attempt else ""
    return f"{where}{attempt['credential']}:{attempt['outcome']}"


_LINE_KEYS = (
    "call",
    "provider",
    "target",
    "operation",
    "model",
    "status",
    "end",
    "detail",
    "truncated",
    "first_token",
    "seconds",
    "tokens_in",
    "tokens_out",
)


def _logfmt(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).replace('"', "'")
    return f'"{text}"' if " " in text else text


def _sentences(record: Record, summary: Summary, dropped: Sequence[str]) -> Iterator[str]:
    for label, why in record.skipped.items():
        yield f"{label} cannot be asked: {why}"
    yield from _failed_hooks(record)
    for one in summary.attempts:
        at = one.at - summary.began
        where = f" at {record.targets[one.target].label}" if len(record.targets) > 1 else ""
        yield f"attempt {one.number}{where} with {one.credential}: {one.outcome.label} after {at:.2f} s"
        if one.reason:
            yield one.reason
    yield f"{summary.end}: {summary.detail}" if summary.detail else summary.end
    if summary.first_token is not None:
        yield f"first token after {summary.first_token:.2f} s"
    if summary.estimated:
        yield "the output token count of the closing frame is an estimate"
    if record.targets:
        yield from _lost(record.targets[summary.target], dropped)


def _lost(target: Target, dropped: Sequence[str]) -> Iterator[str]:
    for loss in target.losses:
        yield f"not sent to {target.label}: {loss.field}: {loss.why}"
    if dropped:
        yield f"headers not sent to {target.label}: {', '.join(dropped)}"
