"""What a call cost: by its provider's own figure, else by the user's prices, else by a list of prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from protocols.model.parts import Usage
from rewrite.usage.entry import Tokens
from rewrite.usage.own_prices import OwnPrices
from rewrite.usage.price_list import Model, PriceList
from rewrite.usage.rates import Rates
from rewrite.usage.tokens import answer_tokens

_MOST_KNOWN = 4096
"""Models whose prices are kept at hand. Clients name any models they like."""

_MINUTE = 60.0


class Cost(NamedTuple):
    amount: float
    """US dollars."""
    source: str
    """See `CallEntry.cost_source`."""


@dataclass(slots=True)
class Known:
    """What is known of the prices of a model."""

    source: str
    """`own` or `prices`."""
    match: str
    """What its name fits: a glob of the user's, or the provider and the entry in the list."""
    _rates: Rates
    """Those of the calls of `_time`, or of all."""
    _entry: Model | None = None
    """That of the list, where not all calls have the same prices."""
    _time: tuple[float, str] | None = None
    """The minute and the terms that `_rates` are of."""

    def rates(self, at: float, tier: str = "") -> Rates:
        """Those of a call, see `Model.rates`."""
        if self._entry is None:
            return self._rates
        time = at // _MINUTE, tier
        if time != self._time:
            self._rates, self._time = self._entry.rates(at, tier), time
        return self._rates


@dataclass(slots=True)
class Prices:
    """All prices that there are."""

    listed: PriceList | None = None
    """None: no list could be read, or it is not read yet."""
    own: Sequence[OwnPrices] = ()
    """The user's. The first that fits holds."""
    vendors: Mapping[str, str] = field(default_factory=dict)
    """What the list calls providers of the config, by their names there. Empty text: nothing of the list is
    for that one. One that is missing has the same name in both."""
    _known: dict[tuple[str, str], Known | None] = field(default_factory=dict)

    def known(self, provider: str, model: str) -> Known | None:
        """The prices of a model as the provider or its client names it; None where there are none."""
        key = provider, model
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._own(provider, model) or self._listed(provider, model)
        return self._known[key]

    def _own(self, provider: str, model: str) -> Known | None:
        found = next((one for one in self.own if one.fits(provider, model)), None)
        return Known("own", found.match, found.rates) if found else None

    def _listed(self, provider: str, model: str) -> Known | None:
        vendor = self.vendors.get(provider, provider)
        found = self.listed.find(vendor, model) if self.listed and vendor and model else None
        if found is None:
            return None
        place, entry = found
        return Known("prices", f"{place}/{entry.id}", entry.rates(0.0), entry if entry.varies else None)


def cost_of(
    prices: Prices, provider: str, model: str, tokens: Tokens, at: float, tier: str = ""
) -> Cost | None:
    """What `tokens` cost; `at` in seconds since the epoch, `tier` as `Usage.tier`. None: no price is known
    for the model, or for a class of its tokens."""
    known = prices.known(provider, model)
    amount = known.rates(at, tier).cost(tokens) if known else None
    return None if known is None or amount is None else Cost(amount, known.source)


def call_cost(prices: Prices, provider: str, models: Sequence[str], usage: Usage, at: float) -> Cost | None:
    """What an answer cost: its provider's own figure if there is one, else as `cost_of`, by the first of the
    names of its model that has a price."""
    if usage.cost is not None:
        return Cost(usage.cost, "provider")
    passes = [(models, usage), *(((one.model, *models), one.usage) for one in usage.besides)]
    costs = [_pass_cost(prices, provider, names, one, at) for names, one in passes]
    known = [cost for cost in costs if cost is not None]
    return Cost(sum(cost.amount for cost in known), known[0].source) if len(known) == len(costs) else None


def _pass_cost(prices: Prices, provider: str, models: Sequence[str], usage: Usage, at: float) -> Cost | None:
    tokens, tier = answer_tokens(usage), usage.tier or ""
    found = (cost_of(prices, provider, model, tokens, at, tier) for model in models if model)
    return next(filter(None, found), None)
