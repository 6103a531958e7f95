"""Requests and answers of HTTP as they cross the edge, and what of a request may say where it goes: origins,
host names, targets and paths.

A base URL is parsed once, into an `Origin`. After that nothing is joined to it as text and parsed again: a
request has an origin, and a target in origin form, which can name a path alone (RFC 3986, RFC 9112).

A server may read a path more leniently than it is written (RFC 3986, section 6). Which credential a path gets
is decided on what it can mean: in any case, decoded, without dot segments. A path that can be read in two
ways is not in normal form.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 0xFFFF
_LONGEST_NAME = 255
_VISIBLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
# RFC 9112, section 3.2.1, with more characters than RFC 3986 has: clients send them and providers take them.
_ORIGIN_FORM = re.compile(rb"/[!-\"$-~]*")
_BREAK = re.compile(rb"[\r\n\0]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEEPEST = 4
"""How often an encoding of an encoding is undone; deeper ones are not in normal form anyhow."""

_AMBIGUOUS = re.compile(r"[\\;]|//|/\.{1,2}(?:/|$)")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})?")

# Bytes that an encoding may stand for: no letter that needs none, none that a server may take for a separator
# once it is decoded, no control, and of UTF-8 none that begins a longer form of ASCII.
_ENCODABLE = (
    frozenset(b" !\"$&'()*+,:<=>@[]^`{|}") | frozenset(range(0x80, 0xC0)) | frozenset(range(0xC2, 0xF5))
)


def is_host(text: str) -> bool:
    """Whether `text` is a host name in ASCII (with underscores) or an address without brackets."""
    if _NAME.fullmatch(text):
        return len(text) <= _LONGEST_NAME
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def is_origin_form(target: bytes) -> bool:
    """Whether a request target is a path, with a query or without: no host, no fragment, visible ASCII."""
    return _ORIGIN_FORM.fullmatch(target) is not None


def is_method(text: str) -> bool:
    """Whether `text` is a method: one token, which ends where the target begins."""
    return _TOKEN.fullmatch(text) is not None


def is_field_name(text: str) -> bool:
    """Whether `text` is the name of a header: one token (RFC 9110, section 5.1)."""
    return _TOKEN.fullmatch(text) is not None


def is_field_value(value: bytes) -> bool:
    """Whether a header may have that value: one that servers read as one line (RFC 9110, section 5.5)."""
    return not _BREAK.search(value)


@dataclass(frozen=True, slots=True)
class Origin:
    """One server. Raises ValueError for what is none."""

    scheme: str
    """http or https."""
    host: str
    """A name, or an address without brackets."""
    port: int
    """Where it listens."""
    prefix: str = ""
    """What stands before every path there. It has no slash at its end."""
    is_secure: bool = field(init=False, repr=False, compare=False)
    """Whether it is spoken to over TLS."""
    address: tuple[str, int] = field(init=False, repr=False, compare=False)
    """Host and port."""
    authority: str = field(init=False, repr=False, compare=False)
    """As a Host header has it: with brackets round an IPv6 address, without the scheme's own port."""

    def __post_init__(self) -> None:
        path = self.prefix.encode()
        good = self.scheme in _PORTS and is_host(self.host) and 0 < self.port <= _LAST_PORT
        if not good or (path and not is_origin_form(path)):
            raise ValueError("not the origin of an HTTP server")
        named = f"[{self.host}]" if ":" in self.host else self.host
        authority = named if self.port == _PORTS[self.scheme] else f"{named}:{self.port}"
        object.__setattr__(self, "is_secure", self.scheme == "https")
        object.__setattr__(self, "address", (self.host, self.port))
        object.__setattr__(self, "authority", authority)

    def under(self, target: bytes) -> bytes:
        """The request target after the prefix: a client that calls a gateway itself names it already."""
        prefix = self.prefix.encode()
        return target if target.startswith(prefix + b"/") else prefix + target

    def url(self, target: bytes) -> str:
        """The whole as a reader knows it; nothing is sent by it."""
        return f"{self.scheme}://{self.authority}{self.under(target).decode('utf-8', 'surrogateescape')}"


def parsed(base_url: str) -> Origin:
    """The origin that a base URL says. Raises ValueError for a URL with a user, a query or a fragment too."""
    if not _VISIBLE.fullmatch(base_url):  # urlsplit would leave out a tab or a line break
        raise ValueError("not an absolute URL")
    parts = urlsplit(base_url)
    if "@" in parts.netloc or "?" in base_url or "#" in base_url or parts.port == 0:
        raise ValueError("not a base URL")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return Origin(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"))


type Paths[T] = Sequence[tuple[str, re.Pattern[str], T]]
"""Method, a pattern that is searched in the path without its query, and what they come to."""


def matched[T](paths: Paths[T], method: str, path: str) -> T | None:
    """What the first that fits comes to."""
    for known, pattern, found in paths:
        if known == method and pattern.search(path):
            return found
    return None


def is_normal(path: str) -> bool:
    """Whether `path` can be read in one way only; letters in any case are the same path here."""
    encoded = (int(found[1] or "0", 16) for found in _ENCODED.finditer(path))
    return not _AMBIGUOUS.search(path) and all(byte in _ENCODABLE for byte in encoded)


def normalised(path: str) -> str:
    """`path` in lower case, decoded, with single slashes, without dot segments and a slash at its end."""
    for _ in range(_DEEPEST):
        path = unquote(path)
    kept: list[str] = []
    for segment in path.replace("\\", "/").lower().split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def fits(path: str, globs: Iterable[str], prefix: str = "") -> bool:
    """Whether `path` is one of `globs` (fnmatchcase), however it is written; `prefix`: that of a base URL,
    which may stand before it."""
    plain = normalised(path)
    forms = {plain, plain.removeprefix(normalised(prefix))} if prefix else {plain}
    return any(fnmatchcase(form, glob.lower()) for form in forms for glob in globs)


# -- requests and answers ---------------------------------------------------------------------------------

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
    unrecorded: frozenset[str] = frozenset()
    """The names, in lower case, of headers whose values are never recorded: a signature may serve again."""

    @property
    def recorded_headers(self) -> Headers:
        """As a record has them."""
        if not self.unrecorded:
            return self.headers
        hidden = self.unrecorded
        return tuple((name, "(signed)" if name.lower() in hidden else value) for name, value in self.headers)

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
