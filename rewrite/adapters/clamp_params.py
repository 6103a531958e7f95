"""clamp_params: keeps numbers of the request within what the model takes.

Each option is a parameter, by its path (`rewrite/fields/paths.py`): a number is the one value that the
model takes, as in `temperature = 1`; `{ min = 0, max = 1 }`, or one of the two, are bounds. Only a number
that the client sent is changed, in any protocol.

Loses: the value that the client asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, cast

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Factory, Options, Unchanged, number
from rewrite.fields.paths import Steps, changed, parse_path


@dataclass(frozen=True, slots=True)
class Clamp:
    """The numbers that one parameter may have."""

    path: Steps
    """Where it is in the request."""
    low: float | None
    """The lowest. None: no bound."""
    high: float | None
    """The highest. None: no bound."""

    def applied(self, body: JsonObject) -> JsonObject:
        return cast(JsonObject, changed(body, self.path, self._clamped, spread=True))

    def _clamped(self, value: object) -> object:
        asked = number(value)
        if asked is None:
            return value
        if self.low is not None and asked < self.low:
            return self.low
        if self.high is not None and asked > self.high:
            return self.high
        return value


@dataclass(frozen=True, slots=True)
class ClampParams(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "clamp_params"
    clamps: tuple[Clamp, ...]

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return reduce(lambda clamped, clamp: clamp.applied(clamped), self.clamps, body)


def _clamp(name: str, value: object) -> Clamp:
    path, exact = parse_path(name), number(value)
    if exact is not None:
        return Clamp(path, exact, exact)
    if not isinstance(value, Mapping) or not value or not set(value) <= {"min", "max"}:
        raise ValueError(
            f"{name} = {value!r} is neither a number nor {{ min, max }} (a path with dots stands in quotes)"
        )
    low, high = _bound(name, value, "min"), _bound(name, value, "max")
    if low is not None and high is not None and low > high:
        raise ValueError(f"{name}: min = {low} is above max = {high}")
    return Clamp(path, low, high)


def _bound(name: str, value: Mapping[str, object], end: str) -> float | None:
    if end in value and number(value[end]) is None:
        raise ValueError(f"{name}: {end} = {value[end]!r} is not a number")
    return number(value.get(end))


def _make(options: Options) -> ClampParams:
    if not options.values:
        raise ValueError("needs at least one parameter, as in temperature = 1")
    return ClampParams(tuple(_clamp(name, value) for name, value in options.values.items()))


ADAPTER = Factory(ClampParams.name, _make, None)
