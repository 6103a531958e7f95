"""The record of calls: one line on the log, plain data in the flow, a comment for a reader of mitmweb.

This is the one place where records are written, and the one where they are redacted.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.flow import Error, Flow
from mitmproxy.log import ALERT

from addons.records.entries import Entries, entry_of, over_of
from addons.records.fallbacks import Fallbacks
from addons.records.record import KEY, Record, counted, record_of, recorded
from addons.records.terminal import CALL, line_in
from addons.secrets.redaction import LONGEST_NAME, Redactor, fault
from addons.upstream.network import Reached
from protocols.model.http import Origin
from rewrite.credentials.notices import Notice
from rewrite.records.texts import comment, logfmt_value
from rewrite.records.verdict import Verdict
from rewrite.usage.prices import Prices
from rewrite.values.events import Summary

LAST_TURNS = 20
"""How many turns of a WebSocket stand in its flow's record."""

BETWEEN_TURNS = "\n\n"

log = logging.getLogger("rotator")
_RESCUED = {
    Verdict.RETRIED: ":repeat:",
    Verdict.SPARE: ":key:",
    Verdict.FALLBACK: ":twisted_rightwards_arrows:",
    Verdict.CONTINUED: ":link:",
}
"""Markers of calls that were answered: they leave a marker that is there."""

_MARKERS = {
    Verdict.TRUNCATED: ":scissors:",
    Verdict.FAILED: ":warning:",
    Verdict.REFUSED: ":no_entry:",
}


class Journal:
    """Writes records; `redactor` sees every text of them."""

    def __init__(
        self,
        redactor: Redactor,
        updated: Callable[[Flow], None] = lambda _: None,
        entries: Entries | None = None,
        prices: Prices | None = None,
    ) -> None:
        """`updated` shows a flow again that has not ended. `entries` get that of each call that is over.
        Without `prices`, only what providers state themselves is known of what it cost."""
        self._redactor, self._updated = redactor, updated
        self._entries, self._prices = entries or Entries(), prices or Prices()
        self._fallbacks = Fallbacks()
        self._layout, self._line = "logfmt", line_in("logfmt")

    def lay_out(self, layout: str) -> None:
        """Lines of calls look so from now on: `columns`, `logfmt` or `json`."""
        self._layout, self._line = layout, line_in(layout)

    def begin(self, flow: http.HTTPFlow, record: Mapping[str, object]) -> None:
        """The flow is ours: what is known of it before anything is sent."""
        flow.metadata[KEY] = self._redactor.lines({**record_of(flow), **record})

    def end(self, record: Record, summary: Summary) -> None:
        """The call is over: its line, and its record in the flow."""
        summary = _killed_by_user(record.flow, summary)
        flow, now = record.flow, time.time()
        found = self._redactor.lines(recorded(record, summary, _dropped(record, summary)))
        entry = entry_of(record, summary, found, now, self._prices)
        kept = found | counted(entry)
        flow.metadata[KEY] = {**record_of(flow), **kept}
        flow.comment = comment(kept)
        flow.marked = _MARKERS.get(entry.verdict) or flow.marked or _RESCUED.get(entry.verdict, "")
        flow.server_conn = _asked(record, summary, now) or flow.server_conn
        log.info("%s", self._line(kept), extra={CALL: kept})
        if len(record.targets) > 1 and (text := self._fallbacks.note(record.targets, summary)):
            self.notice(Notice(text))
        is_call = entry.attempts or entry.verdict is not Verdict.OK  # else it is answered from memory
        self._entries.note(over_of(entry if is_call else None, summary, record.targets))

    def reached(self, flow: http.HTTPFlow, origin: Origin, reached: Reached) -> None:
        """An attempt is answered: by whom, for the inspector, while the answer comes."""
        flow.server_conn = _copied(_connected(origin, reached))

    def outcomes(self) -> Mapping[str, Mapping[str, int]]:
        """See `Tally.outcomes`."""
        return self._entries.tally().outcomes()

    def settle(self) -> None:
        """Count all calls that are over."""
        self._entries.drain()

    def close(self) -> None:
        """The proxy ends: what came of all calls, by credential."""
        for each in self._entries.tally().lines():
            log.info("summary: %s", self._redactor.redact(each))

    def waiting(self, record: Record, seconds: float, why: str) -> None:
        """No attempt of the call is under way, and none will be for `seconds`."""
        self._meanwhile(record, f"waits {seconds:.0f} s for another attempt: {why}")

    def in_line(self, record: Record, seconds: float | None, why: str) -> None:
        """The call waits for a credential: for `seconds`, or if that is None until a place is free."""
        due = "" if seconds is None else f", which is due in {seconds:.0f} s"
        self._meanwhile(record, f"waits in line for a key{due}: {why}")

    def silent(self, record: Record, key: str, seconds: float, left: float | None) -> None:
        """An attempt with `key` has had no answer for `seconds`, and is given up after those `left`."""
        due = "" if left is None else f", and waits {left:.0f} s more at most"
        self._meanwhile(record, f"has had no answer with {key} for {seconds:.0f} s{due}")

    def asked_again(self, record: Record, seconds: float, why: str) -> None:
        """An attempt of the call failed after `seconds`, and another begins."""
        self._meanwhile(record, f"is asked again after {seconds:.0f} s: {why}")

    def _meanwhile(self, record: Record, what: str) -> None:
        call, message = record.call, self._redactor.line(what)
        record.flow.comment = message
        self._updated(record.flow)
        named = self._redactor.line(call.model or call.operation.value, LONGEST_NAME)
        if self._layout == "columns":
            log.log(ALERT, "%s %s: %s", record.provider, named, message)
        else:
            model = logfmt_value(named)
            log.log(ALERT, "call=%s provider=%s model=%s: %s", call.id, record.provider, model, message)

    def turn(self, flow: http.HTTPFlow, turn: http.HTTPFlow) -> None:
        """A turn of the WebSocket of `flow` is over, whose record is in `turn`: the last ones stay, and the
        comment begins with the last of all."""
        record = record_of(flow)
        turns = [*record.get("turns", ()), record_of(turn)][-LAST_TURNS:]
        flow.metadata[KEY] = {**record, "turns": turns}
        comments = [turn.comment, *flow.comment.split(BETWEEN_TURNS)][:LAST_TURNS]
        flow.comment = BETWEEN_TURNS.join(filter(None, comments))
        flow.marked = turn.marked if turn.marked not in _RESCUED.values() else flow.marked or turn.marked

    def remark(self, flow: http.HTTPFlow, text: str) -> None:
        """Something about a flow that is no call of ours."""
        flow.comment = self._redactor.line(text)

    def failed(self, what: str, error: BaseException) -> None:
        """A fault of ours."""
        log.error("%s", self._redactor.redact(f"{what}: {fault(error)}"))

    def notice(self, notice: Notice) -> None:
        """What the user has to know besides the calls."""
        level = logging.WARNING if notice.warning else ALERT
        log.log(level, "%s", self._redactor.redact(notice.text))


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


def _copied(server: Server) -> Server:
    """As `copy.copy`, in a tenth of the time."""
    found = Server.__new__(Server)
    vars(found).update(vars(server))
    return found


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
