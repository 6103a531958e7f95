"""What a call comes to: the attempts that its client got something of, and apart from them those that it paid
for without getting anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rewrite.usage.entry import Tokens
from rewrite.usage.prices import Cost
from rewrite.usage.sums import added
from rewrite.usage.tokens import tokens_of
from rewrite.values.decision import Ended


@dataclass(frozen=True, slots=True)
class Charges:
    """See the fields of the same names of `CallEntry`."""

    tokens: Tokens | None = None
    estimated: bool = False
    cost: Cost | None = None
    failed_tokens: int = 0
    failed_cost: float = 0.0


def charges(attempts: Sequence[Ended], price: Callable[[Ended], Cost | None]) -> Charges:
    """`price`: what an attempt cost whose usage is known; None: unknown. A call of which a part has no known
    cost has none."""
    if len(attempts) == 1 and attempts[0].given:  # nearly all calls, which need no sums
        return _of_one(attempts[0], price)
    counted = [one for one in attempts if one.usage is not None]
    given, failed = [one for one in counted if one.given], [one for one in counted if not one.given]
    costs = [price(one) for one in given]
    tokens, lost = _tokens(given), _tokens(failed)
    return Charges(
        tokens=tokens,
        estimated=any(one.estimated for one in given),
        cost=_total([cost for cost in costs if cost]) if all(costs) else None,
        failed_tokens=lost.total if lost else 0,
        failed_cost=sum(cost.amount for cost in map(price, failed) if cost),
    )


def _of_one(only: Ended, price: Callable[[Ended], Cost | None]) -> Charges:
    if only.usage is None:
        return Charges()
    return Charges(tokens_of(only.usage), only.estimated, price(only))


def _tokens(attempts: Sequence[Ended]) -> Tokens | None:
    usages = [one.usage for one in attempts if one.usage is not None]
    if not usages:
        return None
    total = usages[0]
    for usage in usages[1:]:
        total = added(total, usage)
    return tokens_of(total)


def _total(costs: Sequence[Cost]) -> Cost | None:
    """Where several say so, the one that is the least sure: prices are not what a provider states."""
    if not costs:
        return None
    source = min((cost.source for cost in costs), key=_BY_TRUST.index)
    return Cost(sum(cost.amount for cost in costs), source)


_BY_TRUST = ("prices", "own", "provider")
