"""Where requests go, and what of a request may say so: origins, host names and targets (RFC 3986, RFC 9112).

A base URL is parsed once, into an `Origin`. After that nothing is joined to it as text and parsed again: a
request has an origin, and a target in origin form, which can name a path alone.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 0xFFFF
_LONGEST_NAME = 255
_VISIBLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
# RFC 9112, section 3.2.1, with more characters than RFC 3986 has: clients send them and providers take them.
_ORIGIN_FORM = re.compile(rb"/[!-\"$-~]*")
_BREAK = re.compile(rb"[\r\n\0]")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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
    return _METHOD.fullmatch(text) is not None


def is_field_value(value: bytes) -> bool:
    """Whether a header may have that value: one that servers read as one line (RFC 9110, section 5.5)."""
    return not _BREAK.search(value)


@dataclass(frozen=True, slots=True)
class Origin:
    """One server. Raises ValueError for what is none.

    `scheme` is http or https; `host` a name or an address without brackets; `prefix` stands before every path
    there, and has no slash at its end.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""

    def __post_init__(self) -> None:
        path = self.prefix.encode()
        good = self.scheme in _PORTS and is_host(self.host) and 0 < self.port <= _LAST_PORT
        if not good or (path and not is_origin_form(path)):
            raise ValueError("not the origin of an HTTP server")

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def authority(self) -> str:
        """As a Host header has it: with brackets round an IPv6 address, without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def under(self, target: bytes) -> bytes:
        """The request target behind the prefix: a client that calls a gateway itself names it already."""
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
