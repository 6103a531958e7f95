"""The seam of the adapters: what one is given, what it may change, and how it reads its options.

An adapter works on the JSON of the upstream protocol, at three places: the body of a request, the body of
a whole answer, the objects of a stream. It never edits what it is given, since a retry reads it again: it
returns new mappings that share what did not change, and the same object where nothing changed. Only then
do the provider's bytes go through as they came.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol, runtime_checkable

from protocols.model.wirejson import JsonObject


class Events(Protocol):
    """The objects of one stream, one by one; it may remember what came before."""

    def __call__(self, event: JsonObject, /) -> Sequence[JsonObject]:
        """The objects that take the place of `event`: itself where nothing changes, none to drop it."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Where a call goes."""

    protocol: str
    """The one spoken upstream."""
    provider: str
    """Its name."""
    model: str | None = None
    """The one asked for."""


@runtime_checkable
class Closing(Protocol):
    """What an `Events` that holds something back offers besides."""

    def close(self) -> Sequence[JsonObject]:
        """The objects that are still due when the stream ends, properly or not; asked for once."""
        ...


class Adapter(Protocol):
    """One change to what is sent and received. One object serves all calls, so it keeps no state."""

    @property
    def name(self) -> str: ...

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        """The body that goes to the provider in place of `body`; the same object: untouched."""
        ...

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        """The body of an answer that is not streamed; the same object: untouched."""
        ...

    def stream(self, context: Context) -> Events | None:
        """A fresh function for one stream, which returns the same object where nothing changes.

        None: streams are left alone.
        """
        ...


class Unchanged:
    """An adapter that changes nothing: override what changes."""

    __slots__ = ()

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return body

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return body

    def stream(self, context: Context) -> Events | None:
        return None


@dataclass(frozen=True, slots=True)
class Options:
    """What the config says besides the adapter's name. Every reader raises ValueError on a bad value."""

    values: Mapping[str, object]

    def text(self, name: str) -> str:
        """A text that must be there."""
        return _text(name, self._needed(name))

    def one_of(self, name: str, known: Sequence[str], default: str) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} = {value!r} is none of {listed(known)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts that must be there, with at least one."""
        value = self._needed(name)
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"{name} = {value!r} is not a list of texts with at least one")
        return tuple(_text(name, item) for item in value)

    def _needed(self, name: str) -> object:
        if name not in self.values:
            raise ValueError(f"needs the option {name!r}")
        return self.values[name]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} = {value!r} is not a text")
    return value


def number(value: object) -> float | None:
    """`value` if it is a number (a truth value is none, nor is infinity), as the int or float that it was."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isfinite(value) else None


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


@dataclass(frozen=True, slots=True)
class Factory:
    """What a module of this package calls `ADAPTER`: makes an adapter of its options."""

    name: str
    """The adapter's, as a config names it."""
    make: Callable[[Options], Adapter]
    """Raises ValueError on what it cannot take."""
    options: tuple[str, ...] | None = ()
    """The names that it knows; None: any name."""
