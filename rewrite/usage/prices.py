"""All prices that there are: the user's own, else those of a list."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from rewrite.usage.costs import Find, Known
from rewrite.usage.own_prices import OwnPrices
from rewrite.usage.price_list import PriceList

_MOST_KNOWN = 4096
"""Models whose prices are kept at hand. Clients name any models they like."""


class Prices:
    """Found once for each model, and kept at hand."""

    def __init__(
        self,
        listed: PriceList | None = None,
        own: Sequence[OwnPrices] = (),
        vendors: Mapping[str, str] | None = None,
    ) -> None:
        """`listed` None: no list could be read, or it is not read yet. Of `own`, the user's, the first that
        fits holds. `vendors`: what the list calls providers of the config, by their names there. Empty text:
        nothing of the list is for that one. One that is missing has the same name in both."""
        self._listed, self._own, self._vendors = listed, own, vendors or {}
        self.known: Find = lru_cache(_MOST_KNOWN)(self._find)
        """By the names of a provider and of a model as that or its client names it."""

    def follow(self, others: "Prices") -> None:
        """From now on these hold, whoever has this object at hand."""
        self.known = others.known

    def _find(self, provider: str, model: str) -> Known | None:
        return self._of_user(provider, model) or self._of_list(provider, model)

    def _of_user(self, provider: str, model: str) -> Known | None:
        found = next((one for one in self._own if one.fits(provider, model)), None)
        return Known("own", found.match, found.rates) if found else None

    def _of_list(self, provider: str, model: str) -> Known | None:
        vendor = self._vendors.get(provider, provider)
        found = self._listed.find(vendor, model) if self._listed and vendor and model else None
        if found is None:
            return None
        place, entry = found
        varying = entry.rates if entry.varies else None
        return Known("prices", f"{place}/{entry.id}", entry.rates(0.0), varying)
