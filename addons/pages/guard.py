"""Who may have the pages at http://rotator.local/: programs of this machine and whom proxyauth let in, never
the web page of another origin.

A browser that goes through the proxy sends us whatever any web page wants. `Origin` stands in what scripts
ask for and in every POST. `Sec-Fetch-Site` and `Referer` stand in other requests, where the browser sends
them. What no header distinguishes from a person's own request, such as an image of another page, only looks,
and the headers of our answers keep it from that page.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

HOST = "rotator.local"
PORTS = (80, 443)
"""Not that of the proxy: whoever names this machine rotator.local could have a web page read it there."""

_ORIGINS = frozenset({f"http://{HOST}", f"https://{HOST}"})
_OWN_SITES = frozenset({"same-origin", "none"})


def is_own(host: str) -> bool:
    return host.lower().removesuffix(".") == HOST


def foreign_page(headers: Mapping[str, str]) -> str:
    """The web page of another origin that asks, or what is known of it. Empty: none does. Names of `headers`
    are looked up in lower case."""
    if origin := headers.get("origin", ""):
        return "" if origin.lower() in _ORIGINS else origin
    site = headers.get("sec-fetch-site", "").lower()
    if site and site not in _OWN_SITES:
        return "a page that the browser does not name"
    referrer = headers.get("referer", "")
    return "" if not referrer or _origin_of(referrer) in _ORIGINS else referrer


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = "" if parts.port in (None, *PORTS) else f":{parts.port}"
    except ValueError:
        return ""
    return f"{parts.scheme}://{(parts.hostname or '').lower()}{port}"
