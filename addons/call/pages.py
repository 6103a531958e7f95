"""Web pages: a browser behind the proxy sends what any page says, and a page is not the user.

Browsers say so themselves: `Origin`, which no page can change, and `Sec-Fetch-Site` where the former is
missing (a GET without CORS). Neither is sent by an SDK.
"""

from urllib.parse import urlsplit

from mitmproxy import http

UNNAMED = "a page that the browser does not name"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def page_of(request: http.Request) -> str:
    """The origin of the web page that asks, empty where none does. A page of the same host is its provider's
    own, and some libraries send such an origin with no page."""
    origin = request.headers.get("origin", "")
    if origin:
        return "" if _place(origin) == (request.pretty_host.lower(), request.port) else origin
    site = request.headers.get("sec-fetch-site", "").lower()
    return UNNAMED if site in {"cross-site", "same-site"} else ""


def _place(origin: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(origin)
        return (parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme])
    except (ValueError, KeyError):
        return None
