"""The entry of a call that is over: how it is counted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mitmproxy import http

from addons.records.record import Record
from protocols.model.parts import Usage
from rewrite.records.verdict import verdict_of
from rewrite.usage.entry import CallEntry
from rewrite.usage.prices import Cost
from rewrite.usage.tokens import tokens_of
from rewrite.values.events import Summary

type Price = Callable[[str, Sequence[str], Usage, float], Cost | None]
"""What an answer cost: by the provider, the names of its model, best first, what is known of its tokens, and
when, in epoch seconds. None: unknown."""

_USER = "proxyauth"
"""Where mitmproxy keeps in a flow who called, with the password."""


def entry_of(record: Record, summary: Summary, kept: Mapping[str, Any], at: float, price: Price) -> CallEntry:
    """`kept`: the record in the call's flow, redacted; `at`: when it ended, in epoch seconds."""
    call, usage = record.call, summary.progress.usage
    model, served = kept.get("model") or "", kept.get("served") or ""
    asked = record.targets[summary.target].call.model or "" if record.targets else ""
    cost = price(kept["provider"], (served, asked, model), usage, at) if usage else None
    last = summary.attempts[-1] if summary.attempts else None
    return CallEntry(
        at=at,
        call=call.id,
        provider=kept["provider"],
        protocol=call.protocol,
        operation=call.operation.value,
        model=model,
        served=served,
        credential=last.credential if last else "",
        user=user_of(record.flow),
        verdict=verdict_of(summary),
        status=summary.status,
        seconds=summary.seconds,
        first_token=summary.first_token,
        attempts=len(summary.attempts),
        tokens=tokens_of(usage) if usage else None,
        estimated=summary.estimated,
        cost=cost.amount if cost else None,
        cost_source=cost.source if cost else "",
        asked=asked,
    )


def user_of(flow: http.HTTPFlow) -> str:
    """The name that proxyauth knows the client by. Empty: it asks for none."""
    match flow.metadata.get(_USER):
        case (str(user), *_):
            return user
    return ""
