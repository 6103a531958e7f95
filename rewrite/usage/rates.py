"""What tokens cost at one model, and what a call comes to.

Prices are US dollars for a million tokens, or for a thousand calls or searches.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from msgspec import Meta, Struct

from rewrite.usage.entry import Tokens

_MILLION, _THOUSAND = 1e6, 1e3


type Amount = Annotated[float, Meta(ge=0)]


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
        prompt = tokens.prompt
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
                total += count * (price.at(prompt) if isinstance(price, Tiered) else price)
        return total / _MILLION + self._besides(tokens, prompt)

    def _besides(self, tokens: Tokens, prompt: int) -> float:
        """For the call itself, and for what it searched. Searches without a price are left out: most are on
        another bill."""
        thousand = ((1, self.requests), (tokens.searches, self.searches))
        return sum(count * price_at(price, prompt) for count, price in thousand if price) / _THOUSAND


def price_at(price: Price, prompt: int) -> float:
    """For a prompt of so many tokens."""
    return price.at(prompt) if isinstance(price, Tiered) else price
