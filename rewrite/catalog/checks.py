"""Where a provider says what a credential has used, and how that is read: `quota_check` of its file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class CheckedLimit:
    """One limit in the answer. Fields that are left empty are not in it."""

    name: str
    """What it is known by: that of the header that reports the same limit, where one does."""
    at: str
    """The names of the objects on the way to it, with dots between them."""
    unit: str = "percent"
    """See `rewrite.credentials.windows.Unit`."""
    used: str = ""
    """The name of the field that has how much is used."""
    left: str = ""
    """The name of the one that has how much is left."""
    limit: str = ""
    """The name of the one that has the limit. Empty: it is 100."""
    resets_at: str = ""
    """The name of the one that says when it is free again, in epoch seconds or RFC 3339."""
    models: str = ""
    """A glob of the models that it is for. Empty: it is one limit for all."""


@dataclass(frozen=True, slots=True)
class QuotaCheck:
    """A request that tells what a credential has used."""

    path: str
    """Of a GET, under `base_url`."""
    limits: tuple[CheckedLimit, ...]
    """What its answer has."""
    logins_only: bool = False
    """Whether it tells logins alone, and no keys."""


def quota_check(mapping: Mapping[str, object]) -> QuotaCheck:
    """Raises ValueError where a name is missing, unknown or of another type."""
    limits = mapping.get("limits")
    if mapping.keys() - {each.name for each in fields(QuotaCheck)}:
        raise ValueError("unknown names")
    path = mapping.get("path")
    if not (isinstance(path, str) and isinstance(limits, list | tuple)):
        raise ValueError("expected a path and a list of limits")  # noqa: TRY004  # as all of these readers
    return QuotaCheck(path, tuple(map(_limit, limits)), mapping.get("logins_only") is True)


def _limit(value: object) -> CheckedLimit:
    known = {each.name for each in fields(CheckedLimit)}
    if not isinstance(value, Mapping) or value.keys() - known or not {"name", "at"} <= value.keys():
        raise ValueError("expected limits with a name and a place")
    return CheckedLimit(**{name: str(text) for name, text in value.items()})
