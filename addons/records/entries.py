"""The entries of calls that are over: how one is made, and how those who count calls get it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from addons.records.record import Record
from addons.records.tally import Attempted, Tally
from addons.runtime.clock import Later
from protocols.model.parts import Usage
from rewrite.credentials.evidence import session_hash
from rewrite.records.verdict import verdict_of
from rewrite.targets.target import Target
from rewrite.usage.costs import Cost, call_cost, charges
from rewrite.usage.entry import CallEntry
from rewrite.usage.prices import Prices
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Outcome, Rejected

GATHER = 0.5
"""Seconds after which a call is counted at the latest."""

type Take = Callable[[Sequence[CallEntry]], None]
"""Counts calls, in the order in which they ended."""


class Over(NamedTuple):
    """A call that is over. Nothing of it holds what was sent, which may be megabytes."""

    entry: CallEntry | None
    """None: nobody was asked, since the answer was at hand."""
    attempts: Sequence[Attempted]
    """In order."""
    usage: Usage | None
    """What the answer stated that the client got."""


def over_of(entry: CallEntry | None, summary: Summary, targets: Sequence[Target]) -> Over:
    """`targets`: those that could be asked."""
    attempts = [
        (f"{targets[one.target].provider.name}/{one.credential}", _kind(one.outcome))
        for one in summary.attempts
    ]
    return Over(entry, attempts, summary.progress.usage)


def _kind(outcome: Outcome) -> str:
    """As what it is counted."""
    if isinstance(outcome, Rejected):
        return f"rejected ({outcome.status} {outcome.kind})"
    return type(outcome).__name__.lower()


class Entries:
    """Of calls that are over, on the event loop. On the way of a call one is only put by: it is counted with
    others when somebody looks, or after GATHER seconds."""

    def __init__(self, counting: Sequence[Take] = (), later: Later | None = None) -> None:
        """`counting`: those who count; `later` sets a timer. None: somebody always looks."""
        self._counting, self._later = counting, later
        self._over: list[Over] = []
        self._tally = Tally()

    def note(self, over: Over) -> None:
        if not self._over and self._later:
            self._later(GATHER, self.drain)
        self._over.append(over)

    def drain(self) -> None:
        """Whoever looks, and the end of the proxy, comes after this."""
        if not self._over:
            return
        over, self._over = self._over, []
        for one in over:
            self._tally.note(one.attempts, one.usage)
        entries = [one.entry for one in over if one.entry is not None]
        for take in self._counting:
            take(entries)

    def tally(self) -> Tally:
        """Of all calls."""
        self.drain()
        return self._tally


def entry_of(
    record: Record, summary: Summary, kept: Mapping[str, Any], at: float, prices: Prices
) -> CallEntry:
    """`kept`: the record in the call's flow, redacted; `at`: when it ended, in epoch seconds."""
    call = record.call
    model, served = kept.get("model") or "", kept.get("served") or ""
    asked = kept.get("asked") or model if record.targets else ""
    found = charges(summary.attempts, partial(_priced, record, prices, at))
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
        user=kept.get("user", ""),
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


def _priced(record: Record, prices: Prices, at: float, one: Ended) -> Cost | None:
    """What an attempt cost."""
    target = record.targets[one.target]
    names = (one.served, target.call.model or "")
    return call_cost(prices.known, target.provider.name, names, one.usage, at) if one.usage else None
