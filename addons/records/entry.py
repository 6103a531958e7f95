"""The entry of a call that is over: how it is counted."""

from collections.abc import Callable, Mapping
from typing import Any

from mitmproxy import http

from addons.records.record import Record
from protocols.model.parts import Usage
from rewrite.records.verdict import verdict_of
from rewrite.usage.entry import CallEntry, Tokens
from rewrite.values.events import Summary

type Price = Callable[[str, str, Tokens, float], tuple[float, str] | None]
"""What tokens cost, by the provider, the model and when, in epoch seconds: US dollars, and who says so. None:
unknown."""

_USER = "proxyauth"
"""Where mitmproxy keeps in a flow who called, with the password."""


def unpriced(provider: str, model: str, tokens: Tokens, at: float) -> None:
    """No price is known."""


def entry_of(record: Record, summary: Summary, kept: Mapping[str, Any], at: float, price: Price) -> CallEntry:
    """`kept`: the record in the call's flow, redacted; `at`: when it ended, in epoch seconds."""
    call, usage = record.call, summary.progress.usage
    model, served = kept.get("model") or "", kept.get("served") or ""
    tokens = _tokens(usage) if usage else None
    cost, source = _cost(usage, tokens, lambda known: price(kept["provider"], served or model, known, at))
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
        tokens=tokens,
        estimated=summary.estimated,
        cost=cost,
        cost_source=source,
    )


def user_of(flow: http.HTTPFlow) -> str:
    """The name that proxyauth knows the client by. Empty: it asks for none."""
    match flow.metadata.get(_USER):
        case (str(user), *_):
            return user
    return ""


def _cost(
    usage: Usage | None, tokens: Tokens | None, price: Callable[[Tokens], tuple[float, str] | None]
) -> tuple[float | None, str]:
    """What the provider states counts before any price."""
    if usage is not None and usage.cost is not None:
        return usage.cost, "provider"
    return (price(tokens) if tokens else None) or (None, "")


def _tokens(usage: Usage) -> Tokens:
    read, write = usage.cache_read or 0, usage.cache_write or 0
    fresh = max((usage.input or 0) - read - write, 0)
    return Tokens(fresh, read, write, 0, usage.output or 0, usage.reasoning or 0)
