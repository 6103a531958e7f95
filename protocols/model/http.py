"""Requests and answers of HTTP as they cross the edge."""

from dataclasses import dataclass

from protocols.model.origin import Origin, is_method, is_origin_form

type Headers = tuple[tuple[str, str], ...]
"""Ordered name and value pairs, names in their own case; compared case-insensitively by `header`."""


def header(headers: Headers, name: str) -> str | None:
    """The first value of `name` (any case), or None."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class WireRequest:
    """A request as a client sent it."""

    method: str
    """As the client wrote it."""
    target: str
    """The path with its query."""
    headers: Headers
    """In the order and case in which they came."""
    body: bytes = b""
    """Without its coding."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request as it leaves. Raises ValueError for what could be read as more than a method and a path."""

    origin: Origin
    """Where it goes, and nowhere else."""
    method: str
    """A token of HTTP."""
    target: bytes
    """The path with its query, in origin form, the prefix of `origin` included."""
    headers: Headers
    """As they are written, in order."""
    body: bytes = b""
    """The bytes on the wire."""

    def __post_init__(self) -> None:
        if not (is_method(self.method) and is_origin_form(self.target)):
            raise ValueError("not a method and a target in origin form")


@dataclass(frozen=True, slots=True)
class WireResponse:
    """A whole answer as it crosses the edge."""

    status: int
    """Of HTTP."""
    headers: Headers
    """In order, names in their own case."""
    body: bytes = b""
    """All of it."""
    reason: str = ""
    """The phrase of HTTP/1; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer whose body is still to come."""

    status: int
    """Of HTTP."""
    headers: Headers
    """In order, names in their own case."""
    reason: str = ""
    """The phrase of HTTP/1; empty where there is none."""
