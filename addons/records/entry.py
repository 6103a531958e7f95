"""The entry of a call that is over: how it is counted."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from addons.records.record import Record
from addons.records.user import user_of
from protocols.model.parts import Usage
from rewrite.credentials.evidence import session_hash
from rewrite.records.verdict import verdict_of
from rewrite.usage.charges import charges
from rewrite.usage.entry import CallEntry
from rewrite.usage.prices import Cost
from rewrite.values.decision import Ended
from rewrite.values.events import Summary

type Price = Callable[[str, Sequence[str], Usage, float], Cost | None]
"""What an answer cost: by the provider, the names of its model, best first, what is known of its tokens, and
when, in epoch seconds. None: unknown."""


def entry_of(record: Record, summary: Summary, kept: Mapping[str, Any], at: float, price: Price) -> CallEntry:
    """`kept`: the record in the call's flow, redacted; `at`: when it ended, in epoch seconds."""
    call = record.call
    model, served = kept.get("model") or "", kept.get("served") or ""
    asked = kept.get("asked") or model if record.targets else ""
    found = charges(summary.attempts, partial(_priced, record, price, at))
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
        tokens=found.tokens,
        estimated=found.estimated,
        cost=found.cost.amount if found.cost else None,
        cost_source=found.cost.source if found.cost else "",
        failed_tokens=found.failed_tokens,
        failed_cost=found.failed_cost,
        asked=asked,
        session=session_hash(call.headers),
    )


def _priced(record: Record, price: Price, at: float, one: Ended) -> Cost | None:
    """What an attempt cost."""
    target = record.targets[one.target]
    names = (one.served, target.call.model or "")
    return price(target.provider.name, names, one.usage, at) if one.usage else None
