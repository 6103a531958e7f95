"""Names of models by provider, as the list of prices that ships with the package has them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from rewrite.catalog.providers import Provider
from rewrite.usage.price_list import PriceList

_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,2}(?![0-9bk])")


def known_models(providers: Iterable[Provider]) -> Mapping[str, Sequence[str]]:
    """The newest first, as far as the numbers in their names say."""
    prices = PriceList(files("rewrite.usage").joinpath("data", "prices.json").read_bytes())
    vendors = {one.name: prices.vendor_at(one.base_url) for one in providers if one.base_url}
    return {
        name: sorted((model.id for model in prices.models(vendor)), key=_version, reverse=True)
        for name, vendor in vendors.items()
        if vendor
    }


def _version(name: str) -> tuple[list[int], str]:
    """What its short numbers say; long ones are dates, and sizes."""
    return [int(number) for number in _NUMBER.findall(name)], name
