"""Where a provider says what a credential has used, and how that is read: `quota_check` of its file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

PROJECT = "{project}"


@dataclass(frozen=True, slots=True)
class CheckedLimit:
    """One limit in the answer. Fields that are left empty are not in it."""

    name: str
    """What it is known by: that of the header that reports the same limit, where one does."""
    at: str
    """The names of the objects on the way to it, with dots between them. `*`: each of a list or a table."""
    unit: str = "percent"
    """See `rewrite.credentials.windows.Unit`."""
    used: str = ""
    """The name of the field that has how much is used."""
    left: str = ""
    """The name of the one that has how much is left."""
    limit: str = ""
    """The name of the one that has the limit. Empty: it is `scale`."""
    scale: float = 100.0
    """What all of it is, where no field has the limit: 1 of a fraction. Reported as a percentage."""
    null_is_spent: bool = False
    """Whether nothing is left where `left` is null, or missing beside a reset."""
    unlimited: str = ""
    """The name of the one that is true where there is no limit."""
    resets_at: str = ""
    """The name of the one that says when it is free again, in epoch seconds or RFC 3339."""
    models: str = ""
    """A glob of the models that it is for. Empty: it is one limit for all."""
    model: str = ""
    """The name of the one that has the model that it is for; `*`: the key that stands for `*` in `at`."""


@dataclass(frozen=True, slots=True)
class QuotaCheck:
    """A request that tells what a credential has used."""

    path: str
    """Of a GET, or of a POST that has a body; under `base_url`, where no `token` says otherwise."""
    limits: tuple[CheckedLimit, ...]
    """What its answer has."""
    logins_only: bool = False
    """Whether it tells logins alone, and no keys."""
    token: str = ""
    """`refresh`: the long-lived token of a login goes with it, to the server that exchanges it and under the
    same path as the address for that. Empty: the token of calls."""
    body: tuple[tuple[str, str], ...] | None = None
    """Fields of a JSON object. `{project}` is the project of the login, and left out where there is none."""

    @property
    def needs_project(self) -> bool:
        return PROJECT in dict(self.body or ()).values()

    def body_for(self, project: str) -> dict[str, str] | None:
        """The body for a login of `project`. None: it is a GET."""
        if self.body is None:
            return None
        filled = {name: project if value == PROJECT else value for name, value in self.body}
        return {name: value for name, value in filled.items() if value}


def quota_check(mapping: Mapping[str, object]) -> QuotaCheck:
    """Raises ValueError where a name is missing, unknown or of another type."""
    limits = mapping.get("limits")
    if mapping.keys() - {each.name for each in fields(QuotaCheck)}:
        raise ValueError("unknown names")
    path = mapping.get("path")
    if not (isinstance(path, str) and isinstance(limits, list | tuple)):
        raise ValueError("expected a path and a list of limits")  # noqa: TRY004  # as all of these readers
    token = mapping.get("token", "")
    if token not in ("", "refresh"):
        raise ValueError('the token is "refresh", if any is named')
    logins_only = mapping.get("logins_only") is True
    return QuotaCheck(path, tuple(map(_limit, limits)), logins_only, str(token), _body(mapping.get("body")))


def _body(value: object) -> tuple[tuple[str, str], ...] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("expected a body of texts")
    return tuple((str(name), str(text)) for name, text in value.items())


_TYPES: Mapping[str, type] = {"scale": float, "null_is_spent": bool}


def _limit(value: object) -> CheckedLimit:
    known = {each.name for each in fields(CheckedLimit)}
    if not isinstance(value, Mapping) or value.keys() - known or not {"name", "at"} <= value.keys():
        raise ValueError("expected limits with a name and a place")
    return CheckedLimit(**{name: _TYPES.get(name, str)(each) for name, each in value.items()})
