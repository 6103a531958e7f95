"""A list of prices by provider and model, in the form of genai-prices' `prices/new_data/v2/data.json`.

What ships with this package is such a list without what is not read here. Of a list only the providers' names
are read at first; a provider's models are read when the first of them is asked for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from msgspec import DecodeError, Raw, Struct, field, structs
from msgspec.json import Decoder, encode

from rewrite.usage.costs import Price, Rates

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "requests_kcount": "requests",
    "web_searches_kcount": "searches",
}
"""The units of a list that are read here, and what `Rates` calls them; a later one goes before."""
_TERMS = ("service_tier", "processing", "speed")
"""What a list calls the terms on which a provider serves."""
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class BadPrices(ValueError):
    """What is no list of prices, and why."""


class Clause(Struct, frozen=True, omit_defaults=True):
    """Which names are meant. One of the fields is set."""

    equals: str | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    contains: str | None = None
    regex: str | None = None
    any_of: tuple["Clause", ...] = field(name="or", default=())
    all_of: tuple["Clause", ...] = field(name="and", default=())

    def fits(self, name: str) -> bool:
        """`name` is in lower case."""
        if self.any_of:
            return any(each.fits(name) for each in self.any_of)
        if self.all_of:
            return all(each.fits(name) for each in self.all_of)
        if self.regex is not None:
            return re.search(self.regex, name) is not None
        return self._fits_text(name)

    def patterns(self) -> Iterator[str]:
        """Its regular expressions."""
        if self.regex is not None:
            yield self.regex
        for each in (*self.any_of, *self.all_of):
            yield from each.patterns()

    def _fits_text(self, name: str) -> bool:
        if self.equals is not None:
            return name == self.equals.lower()
        if self.starts_with is not None:
            return name.startswith(self.starts_with.lower())
        if self.ends_with is not None:
            return name.endswith(self.ends_with.lower())
        return self.contains is not None and self.contains.lower() in name


class When(Struct, frozen=True, omit_defaults=True):
    """From a day on, or at a time of each day. In UTC."""

    start_date: date | None = None
    start_time: time | None = None
    end_time: time | None = None

    def holds(self, now: datetime) -> bool:
        if self.start_date is not None:
            return now.date() >= self.start_date
        if self.start_time is None or self.end_time is None:
            return True
        clock, begins, ends = now.timetz(), _in_utc(self.start_time), _in_utc(self.end_time)
        return begins <= clock < ends if begins <= ends else not ends <= clock < begins


def _in_utc(clock: time) -> time:
    if clock.tzinfo is None:
        return clock.replace(tzinfo=UTC)
    return datetime.combine(_EPOCH.date(), clock).astimezone(UTC).timetz()


class Dated(Struct, frozen=True, omit_defaults=True):
    """Prices, and when they hold. None: always."""

    prices: Mapping[str, Price]
    constraint: When | None = None


class Variant(Struct, frozen=True, omit_defaults=True):
    """Prices of calls on other terms."""

    when: Mapping[str, str]
    prices: Mapping[str, Price]
    constraint: When | None = None


class Model(Struct, frozen=True, omit_defaults=True):
    """One entry of a provider."""

    id: str
    match: Clause
    prices: Mapping[str, Price] | tuple[Dated, ...]
    """Of several that hold the last one."""
    price_variants: tuple[Variant, ...] | None = None
    """Of several that hold the first one, price by price."""

    def rates(self, at: float, tier: str = "") -> Rates:
        """What holds at a time, in seconds since the epoch, for a call on these terms."""
        if not self.varies:
            return Rates.of(_named(self._prices(_EPOCH)))
        now = _EPOCH + timedelta(seconds=at)
        prices = dict(self._prices(now))
        for variant in reversed(self._variants(tier)):
            if variant.constraint is None or variant.constraint.holds(now):
                prices.update(variant.prices)
        return Rates.of(_named(prices))

    @property
    def varies(self) -> bool:
        """Whether not all calls have the same prices."""
        return isinstance(self.prices, tuple) or bool(self.price_variants)

    @property
    def is_priced(self) -> bool:
        """Whether a class of tokens has a price at any time."""
        each = [one.prices for one in self.prices] if isinstance(self.prices, tuple) else [self.prices]
        return any(unit.endswith("_mtok") for prices in each for unit in prices)

    def _prices(self, now: datetime) -> Mapping[str, Price]:
        if not isinstance(self.prices, tuple):
            return self.prices
        hold = [one for one in self.prices if one.constraint is None or one.constraint.holds(now)]
        return (hold or self.prices)[-1 if hold else 0].prices

    def _variants(self, tier: str) -> Sequence[Variant]:
        terms = [{name: tier} for name in _TERMS] if tier else []
        return [one for one in self.price_variants or () if one.when in terms]


def _named(prices: Mapping[str, Price]) -> dict[str, Price]:
    return {own: prices[unit] for unit, own in _UNITS.items() if unit in prices}


class Vendor(Struct, frozen=True, omit_defaults=True):
    """A provider of the list."""

    id: str
    api_pattern: str
    """A regular expression over the beginning of a URL."""
    models: Raw
    """JSON of a list of `Model`."""
    fallback_model_providers: tuple[str, ...] | None = None
    """Whose models are asked for where it has none of a name."""


_VENDORS, _MODELS = Decoder(tuple[Vendor, ...]), Decoder(tuple[Model, ...])


def _decoded[T](decoder: Decoder[T], data: bytes | Raw) -> T:
    try:
        return decoder.decode(data)
    except DecodeError as error:
        raise BadPrices(str(error)) from None


class PriceList:
    """What is known of all providers."""

    def __init__(self, data: bytes) -> None:
        """Raises BadPrices."""
        self._vendors = {one.id: one for one in _decoded(_VENDORS, data)}
        self._models: dict[str, tuple[Model, ...]] = {}

    def vendor_at(self, url: str) -> str:
        """The id of the provider whose API is at a URL. Empty: there is none."""
        found = (one.id for one in self._vendors.values() if re.match(one.api_pattern, url))
        return next(found, "")

    def find(self, vendor: str, model: str) -> tuple[str, Model] | None:
        """The entry for a model, and the id of the provider that it stands under."""
        name = model.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        names = (name,) if dashed == name else (name, dashed)
        return next(filter(None, (self._find(vendor, each) for each in names)), None)

    def _find(self, vendor: str, name: str) -> tuple[str, Model] | None:
        others = self._vendors[vendor].fallback_model_providers or () if vendor in self._vendors else ()
        for each in (vendor, *others):
            for model in self.models(each):
                if model.match.fits(name):
                    return each, model
        return None

    def models(self, vendor: str) -> tuple[Model, ...]:
        """All entries of a provider; none where it is not known. Raises BadPrices."""
        if vendor not in self._models:
            one = self._vendors.get(vendor)
            self._models[vendor] = _decoded(_MODELS, one.models) if one else ()
        return self._models[vendor]

    def vendors(self) -> Sequence[str]:
        """The ids of all providers."""
        return tuple(self._vendors)


def trimmed(data: bytes) -> bytes:
    """A list without what is not read here, a provider in a line; checked as a whole. Raises BadPrices."""
    found = [_trimmed(one) for one in _decoded(_VENDORS, data)]
    if not found:
        raise BadPrices("it has no providers")
    return b"[\n%b\n]\n" % b",\n".join([encode(one) for one in found])


def _trimmed(one: Vendor) -> Vendor:
    models = [_only_read(model) for model in _decoded(_MODELS, one.models)]
    for pattern in (one.api_pattern, *(found for model in models for found in model.match.patterns())):
        _check_pattern(one.id, pattern)
    return structs.replace(one, models=Raw(encode([model for model in models if model.is_priced])))


def _check_pattern(vendor: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadPrices(f"{vendor}: {pattern!r} is no regular expression: {error}") from None


def _only_read(model: Model) -> Model:
    if isinstance(model.prices, tuple):
        prices: Mapping[str, Price] | tuple[Dated, ...] = tuple(
            structs.replace(one, prices=_read_units(one.prices)) for one in model.prices
        )
    else:
        prices = _read_units(model.prices)
    variants = [structs.replace(one, prices=_read_units(one.prices)) for one in model.price_variants or ()]
    return structs.replace(
        model, prices=prices, price_variants=tuple(one for one in variants if one.prices) or None
    )


def _read_units(prices: Mapping[str, Price]) -> Mapping[str, Price]:
    return {unit: price for unit, price in prices.items() if unit in _UNITS}
