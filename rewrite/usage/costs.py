"""What tokens cost at one model, and what a call comes to. Where prices are from is in `prices`.

Prices are US dollars for a million tokens, or for a thousand calls or searches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Self

from msgspec import Meta, Struct

from protocols.model.parts import Usage
from rewrite.usage.entry import Tokens
from rewrite.usage.tokens import added, answer_tokens, tokens_of
from rewrite.values.decision import Ended

_MILLION, _THOUSAND = 1e6, 1e3
_MINUTE = 60.0


MOST_PRICE = 1e9
"""No price is above that. A sum of costs could be infinite."""

type Amount = Annotated[float, Meta(ge=0, le=MOST_PRICE)]


class Tier(Struct, frozen=True):
    start: int
    """Applies to all tokens of a call with more tokens than this in its prompt."""
    price: Amount


class Tiered(Struct, frozen=True):
    """A price that depends on how long the prompt is."""

    base: Amount
    """Below the first tier."""
    tiers: tuple[Tier, ...]
    """In ascending order."""

    def at(self, prompt: int) -> float:
        """For a prompt of so many tokens."""
        reached = [tier.price for tier in self.tiers if prompt > tier.start]
        return reached[-1] if reached else self.base


type Price = Amount | Tiered


class Rates(Struct, frozen=True):
    """The prices of each class. None: what tokens of that class cost is not known."""

    input: Price | None = None
    cache_read: Price | None = None
    cache_write: Price | None = None
    cache_write_1h: Price | None = None
    output: Price | None = None
    reasoning: Price | None = None
    input_audio: Price | None = None
    output_audio: Price | None = None
    output_image: Price | None = None
    requests: Price | None = None
    """For a thousand calls."""
    searches: Price | None = None
    """For a thousand searches."""

    @classmethod
    def of(cls, prices: Mapping[str, Price]) -> Self:
        """From prices by these names. A class without a price has that of the class that it is a part of."""
        given = prices.get
        prompt, answer = given("input"), given("output")
        write = given("cache_write", prompt)
        return cls(
            input=prompt,
            cache_read=given("cache_read", prompt),
            cache_write=write,
            cache_write_1h=given("cache_write_1h", write),
            output=answer,
            reasoning=given("reasoning", answer),
            input_audio=given("input_audio", prompt),
            output_audio=given("output_audio", answer),
            output_image=given("output_image", answer),
            requests=given("requests"),
            searches=given("searches"),
        )

    def cost(self, tokens: Tokens) -> float | None:
        """US dollars for a call. None: it has tokens of a class without a price."""
        text = tokens.output - tokens.reasoning - tokens.output_audio - tokens.output_image
        million = (
            (tokens.input - tokens.input_audio, self.input),
            (tokens.input_audio, self.input_audio),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write, self.cache_write),
            (tokens.cache_write_1h, self.cache_write_1h),
            (text, self.output),
            (tokens.reasoning, self.reasoning),
            (tokens.output_audio, self.output_audio),
            (tokens.output_image, self.output_image),
        )
        total = 0.0
        for count, price in million:
            if count:
                if price is None:
                    return None
                total += count * (price.at(tokens.prompt) if isinstance(price, Tiered) else price)
        besides = self._besides(tokens) if self.requests or tokens.searches else 0.0
        return total / _MILLION + besides

    def _besides(self, tokens: Tokens) -> float:
        """For the call itself, and for what it searched. Searches without a price are left out: most are on
        another bill."""
        thousand = ((1, self.requests), (tokens.searches, self.searches))
        return sum(count * price_at(price, tokens.prompt) for count, price in thousand if price) / _THOUSAND


def price_at(price: Price, prompt: int) -> float:
    """For a prompt of so many tokens."""
    return price.at(prompt) if isinstance(price, Tiered) else price


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
    _varying: Callable[[float, str], Rates] | None = None
    """Those of a time and of terms, where not all calls have the same prices."""
    _time: tuple[float, str] | None = None
    """The minute and the terms that `_rates` are of."""

    def rates(self, at: float, tier: str = "") -> Rates:
        """Those of a call, see `Model.rates`."""
        if self._varying is None:
            return self._rates
        time = at // _MINUTE, tier
        if time != self._time:
            self._rates, self._time = self._varying(at, tier), time
        return self._rates


type Find = Callable[[str, str], Known | None]
"""The prices of a model, by the names of its provider and of itself; None where there are none."""


def cost_of(find: Find, provider: str, model: str, tokens: Tokens, at: float, tier: str = "") -> Cost | None:
    """What `tokens` cost; `at` in seconds since the epoch, `tier` as `Usage.tier`. None: no price is known
    for the model, or for a class of its tokens."""
    known = find(provider, model)
    amount = known.rates(at, tier).cost(tokens) if known else None
    return None if known is None or amount is None else Cost(amount, known.source)


def call_cost(find: Find, provider: str, models: Sequence[str], usage: Usage, at: float) -> Cost | None:
    """What an answer cost: its provider's own figure if there is one, else as `cost_of`, by the first of the
    names of its model that has a price."""
    if usage.cost is not None:
        return Cost(usage.cost, "provider")
    own = _pass_cost(find, provider, models, usage, at)
    if own is None or not usage.besides:
        return own
    others = [_pass_cost(find, provider, (one.model, *models), one.usage, at) for one in usage.besides]
    known = [cost.amount for cost in others if cost is not None]
    return Cost(sum(known, own.amount), own.source) if len(known) == len(others) else None


def _pass_cost(find: Find, provider: str, models: Sequence[str], usage: Usage, at: float) -> Cost | None:
    tokens, tier = answer_tokens(usage), usage.tier or ""
    for model in models:
        if model and (cost := cost_of(find, provider, model, tokens, at, tier)):
            return cost
    return None


@dataclass(frozen=True, slots=True)
class Charges:
    """What a call comes to: the attempts that its client got something of, and apart from them those that it
    paid for without getting anything. See the fields of the same names of `CallEntry`."""

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
