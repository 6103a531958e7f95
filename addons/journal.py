"""The record of calls: one line on the log, plain data in the flow, words for a reader of mitmweb.

This is the one place where records are written, and the one where they are redacted.
"""

import logging
from collections.abc import Iterator, Mapping

from mitmproxy import http

from addons.blackout import Redactor
from protocols.base import Call
from rewrite.decision import Ended
from rewrite.events import Summary
from rewrite.outcome import describe

KEY = "rotator"
"""Where a flow's record is in `flow.metadata`: small plain data, since it is copied and saved."""

log = logging.getLogger("rotator")
_MARKERS = {"repaired": ":scissors:", "failed": ":scissors:", "rejected": ":no_entry:", "error": ":warning:"}


class Journal:
    """Writes records; `redactor` sees every text of them."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def begin(self, flow: http.HTTPFlow, record: Mapping[str, object]) -> None:
        """The flow is ours: what is known of it before anything is sent."""
        flow.metadata[KEY] = self._clean({**flow.metadata.get(KEY, {}), **record})

    def end(self, flow: http.HTTPFlow, call: Call, provider: str, summary: Summary) -> None:
        record = self._clean(_record(call, provider, summary))
        flow.metadata[KEY] = {**flow.metadata.get(KEY, {}), **record}
        flow.comment = self._redactor.redact(_comment(summary))
        flow.marked = _MARKERS.get(summary.end, flow.marked)
        log.info("%s", self._redactor.redact(_line(call, provider, summary)))

    def failed(self, what: str, error: BaseException) -> None:
        """A fault of ours: its type and place, never its text, which may quote what was read."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "unknown"
        log.error("%s", self._redactor.redact(f"{what}: {type(error).__name__} in {where}"))

    def _clean[T](self, value: T) -> T:
        return _redacted(value, self._redactor)  # type: ignore[return-value]  # same shape, other strings


def _redacted(value: object, redactor: Redactor) -> object:
    match value:
        case str():
            return redactor.redact(value)
        case Mapping():
            return {key: _redacted(each, redactor) for key, each in value.items()}
        case list() | tuple():
            return [_redacted(each, redactor) for each in value]
        case _:
            return value


def _record(call: Call, provider: str, summary: Summary) -> dict[str, object]:
    usage = summary.progress.usage
    return {
        "call": call.id,
        "provider": provider,
        "protocol": call.protocol,
        "operation": call.operation.value,
        "model": call.model,
        "stream": call.stream,
        "end": summary.end,
        "repaired": summary.end == "repaired",
        "words": summary.words,
        "status": summary.status,
        "seconds": round(summary.seconds, 3),
        "first_token": None if summary.first_token is None else round(summary.first_token, 3),
        "tokens_in": usage.input if usage else None,
        "tokens_out": usage.output if usage else None,
        "usage_estimated": summary.estimated,
        "attempts": [_attempt(one, summary.began) for one in summary.attempts],
    }


def _attempt(one: Ended, began: float) -> dict[str, object]:
    return {
        "attempt": one.number,
        "credential": one.credential,
        "outcome": describe(one.outcome),
        "ended": round(one.at - began, 3),
    }


def _line(call: Call, provider: str, summary: Summary) -> str:
    """logfmt: `key=value` pairs, values with spaces in quotes."""
    record = _record(call, provider, summary)
    attempts = " ".join(f"{one.credential}:{describe(one.outcome)}" for one in summary.attempts)
    shown = {key: record[key] for key in _LINE_KEYS} | {"attempts": attempts}
    return " ".join(f"{key}={_shown(value)}" for key, value in shown.items() if value not in (None, ""))


_LINE_KEYS = (
    "call",
    "provider",
    "operation",
    "model",
    "status",
    "end",
    "words",
    "repaired",
    "first_token",
    "seconds",
    "tokens_in",
    "tokens_out",
)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).replace("\n", " ").replace('"', "'")
    return f'"{text}"' if " " in text else text


def _comment(summary: Summary) -> str:
    return "\n".join(_sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    for one in summary.attempts:
        at = one.at - summary.began
        yield f"attempt {one.number} with {one.credential}: {describe(one.outcome)} after {at:.2f} s"
    yield f"{summary.end}: {summary.words}" if summary.words else summary.end
    if summary.first_token is not None:
        yield f"first token after {summary.first_token:.2f} s"
    if summary.estimated:
        yield "the output token count of the closing frame is an estimate"
