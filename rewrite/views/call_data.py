"""What came of a call, as plain data for a reader, of the record that is kept in its flow."""

from collections.abc import Iterator, Mapping
from typing import Any

from protocols.model.wirejson import given

type Kept = Mapping[str, Any]
"""The record in a flow: see `addons.records.journal`."""


def call_data(record: Kept) -> dict[str, object]:
    """All of it, or what is known of an attempt. Nothing where the call is not over."""
    if "of_call" in record:
        return _of_attempt(record)
    if "end" not in record:
        return {}
    return given(
        call=record.get("call"),
        verdict=_verdict(record),
        asked=_asked(record),
        took=_took(record),
        tokens=_tokens(record),
        cost=_cost(record),
        attempts=[_attempt(each) for each in record.get("attempts", ())] or None,
        skipped=record.get("skipped"),
        **{"not sent": record.get("losses"), "headers not sent": record.get("headers_dropped")},
        hooks_failed=record.get("hooks_failed"),
    )


def _of_attempt(record: Kept) -> dict[str, object]:
    """That is shown as a flow of its own."""
    number, target, protocol = record.get("attempt"), record.get("target"), record.get("protocol")
    return given(
        attempt=f"{number} of {record['of_call']}",
        asked=f"{target} ({protocol}) with {record.get('credential')}",
        outcome=record.get("outcome"),
    )


def verdict_line(record: Kept) -> str:
    """The same in a few words. Empty: the call is not over."""
    if "end" not in record:
        return ""
    return "; ".join(filter(None, (_verdict(record), _asked(record), _took(record), _cost(record))))


def _verdict(record: Kept) -> str:
    end, detail = record.get("end", ""), record.get("detail", "")
    verdict = record.get("verdict") or end
    ended = end if end not in (verdict, "completed") else ""
    return ": ".join(filter(None, (verdict, ended, detail)))


def _asked(record: Kept) -> str:
    attempts = record.get("attempts") or [{}]
    where = record.get("target") or record.get("provider", "")
    credential = attempts[-1].get("credential", "")
    return f"{where} with {credential}" if credential else where


def _took(record: Kept) -> str:
    took = f"{record.get('seconds', 0):.2f} s"
    first = record.get("first_token")
    return took if first is None else f"{took}, first token after {first:.2f} s"


def _tokens(record: Kept) -> str | None:
    into, out = record.get("tokens_in"), record.get("tokens_out")
    if into is None and out is None:
        return None
    estimated = " (estimated)" if record.get("usage_estimated") else ""
    return f"{_count(into)} in, {_count(out)} out{estimated}"


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _cost(record: Kept) -> str | None:
    cost, source = record.get("cost"), record.get("cost_source")
    if not isinstance(cost, int | float):
        return None
    return f"${cost:.6f}".rstrip("0").rstrip(".") + (f" ({source})" if source else "")


def _attempt(one: Kept) -> dict[str, object] | str:
    who = " ".join(filter(None, (one.get("target"), one.get("credential"))))
    said = f"{one.get('attempt')} {who}: {one.get('outcome')} after {one.get('ended', 0):.2f} s"
    more = [*_more(one)]
    return {said: more} if more else said


def _more(one: Kept) -> Iterator[str]:
    if reason := one.get("reason"):
        yield reason
    if skipped := one.get("asked_last"):
        yield f"asked last, since they fail while others serve: {', '.join(skipped)}"
