"""Where a provider says what a credential has used, and how that is read: `quota_check` of its file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from protocols.model.http import is_origin_form

PROJECT = "{project}"
UNITS = ("percent", "requests", "tokens", "cost")
"""The values of `rewrite.credentials.windows.Unit`."""

_MOST = 1e15

type Reader = Callable[[object], Any]


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
    if missing := [name for name in ("path", "limits") if name not in mapping]:
        raise ValueError(f"needs {' and '.join(missing)}")
    return QuotaCheck(**stated(mapping))


def stated(mapping: Mapping[str, object]) -> dict[str, Any]:
    """What `mapping` says of a check, which need not be all, as fields of `QuotaCheck`. Raises ValueError."""
    return _read(mapping, _CHECK)


def _read(mapping: Mapping[str, object], readers: Mapping[str, Reader]) -> dict[str, Any]:
    found = {}
    for name, value in mapping.items():
        if name not in readers:
            raise ValueError(f"has an unknown name: known are {', '.join(readers)}")
        try:
            found[name] = readers[name](value)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004  # as all of these readers
    return value


def _path(value: object) -> str:
    if not is_origin_form(_text(value).encode("utf-8", "replace")):
        raise ValueError("must be a path such as /v1/usage, percent-encoded")
    return _text(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004
    return value


def _scale(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MOST:
        raise ValueError(f"must be a number above 0 and at most {_MOST:g}")
    return float(value)


def _token(value: object) -> str:
    if value not in ("", "refresh"):
        raise ValueError('must be "refresh", if it is named')
    return str(value)


def _unit(value: object) -> str:
    if value not in UNITS:
        raise ValueError(f"must be one of {', '.join(UNITS)}")
    return str(value)


def _limits(value: object) -> tuple[CheckedLimit, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("must be a list of tables, each with a name and a place (at)")
    return tuple(map(_limit, value))


def _limit(table: Mapping[str, object]) -> CheckedLimit:
    if not {"name", "at"} <= table.keys():
        raise ValueError("must have a name and a place (at) each")
    return CheckedLimit(**_read(table, _LIMIT))


def _body(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError("must be a table of texts")
    return tuple((str(name), str(text)) for name, text in value.items())


_CHECK: Mapping[str, Reader] = {
    "path": _path,
    "limits": _limits,
    "logins_only": _flag,
    "token": _token,
    "body": _body,
}
_LIMIT: Mapping[str, Reader] = {each.name: _text for each in fields(CheckedLimit)} | {
    "unit": _unit,
    "scale": _scale,
    "null_is_spent": _flag,
}
