"""The limits of credentials in the config: windows and caps, and what a cost can be counted by."""

from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from addons.config.errors import ConfigErrors
from addons.config.tables import CapsTable, Loc, ProviderTable, WindowTable
from rewrite.catalog.providers import Provider
from rewrite.credentials.windows import Cap, Period, Unit, Window

_NO_COST = 'is not known: answers of {name} do not say what they cost: count "requests" or "tokens"'
_NO_ZONE = 'is of a "day", "week" or "month": take it out, or set per to one of these'
_NO_CHECK = "is not possible: this provider has no endpoint that says what a key has used: take it out"
_NEEDED = ("unit", "limit", "per")


def windows(tables: Sequence[WindowTable]) -> tuple[Window, ...]:
    """Those that are whole."""
    return tuple(
        Window(Unit(table.unit), table.limit, _per(table.per), ZoneInfo(table.zone))
        for table in tables
        if table.model_fields_set.issuperset(_NEEDED)
    )


def _per(per: float | str) -> float | Period:
    return Period(per) if isinstance(per, str) else per


def caps(table: CapsTable) -> tuple[Cap, ...]:
    return tuple(_cap(Unit(name), value) for name, value in table.given().items())


def _cap(unit: Unit, value: int | str) -> Cap:
    if isinstance(value, str):
        return Cap(unit, share=float(value.removesuffix("%")) / 100)
    return Cap(unit, value)


def check(provider: Provider, table: ProviderTable, errors: ConfigErrors, *, built_in: bool) -> None:
    """Note what is wrong in the windows of a provider's credentials. What a provider of the user's own says
    of costs is not known here."""
    if table.check and provider.quota_check is None:
        errors.add(("providers", provider.name, "check"), _NO_CHECK)
    for number, credential in enumerate(table.credentials):
        if credential.check and provider.quota_check is None:
            errors.add(("providers", provider.name, "credentials", number, "check"), _NO_CHECK)
        for position, window in enumerate(credential.windows):
            loc = ("providers", provider.name, "credentials", number, "windows", position)
            for key, message in _faults(window, loc, errors):
                errors.add((*loc, key), message)
            if Unit(window.unit) is Unit.COST and built_in and not provider.states_cost:
                errors.add((*loc, "unit"), _NO_COST.format(name=provider.name))


def _faults(window: WindowTable, loc: Loc, errors: ConfigErrors) -> Iterator[tuple[str, str]]:
    for key in _NEEDED:
        if key not in window.model_fields_set and not errors.under((*loc, key)):
            yield key, _MISSING[key]
    if "zone" in window.model_fields_set and not isinstance(window.per, str):
        yield "zone", _NO_ZONE


_MISSING: Mapping[str, str] = {
    "unit": 'is missing: write "requests", "tokens" or "cost"',
    "limit": "is missing: write how much may be used",
    "per": 'is missing: write seconds, or "day", "week" or "month"',
}
