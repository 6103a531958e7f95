"""What single values of a config have to be. Each raises ValueError, which says what is wanted."""

import re
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from protocols.model.http import parsed
from rewrite.catalog import checks
from rewrite.catalog.provider_tables import is_path

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9*?._-]+)(:[0-9]{1,5})?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._:\[\]-]+")
_PERIODS = frozenset({"day", "week", "month"})
_SHORTEST_PERIOD, _LONGEST_PERIOD = 1.0, 366 * 86_400.0
_MOST = 1e15
"""As far as can be counted in parts."""
_DATABASE = re.compile(r"/?|/[0-9]{1,5}")
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SHARE = re.compile(r"[0-9]{1,3}(\.[0-9]+)?%")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)?")
_CODE = re.compile(r"[^\0]+\.py:[^\W\d]\w*|[a-z0-9]+([._-][a-z0-9]+)*")
_PROVIDER_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def base_url(url: str) -> str:
    try:
        if url:
            parsed(url)
    except ValueError:
        raise ValueError(
            "must be an address such as https://api.example.com, without user, query and fragment"
        ) from None
    return url


def proxy(url: str) -> str:
    try:
        good = not url or (urlsplit(url).scheme in {"http", "https"} and bool(urlsplit(url).hostname))
        good = good and urlsplit(url).port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must be an address such as http://proxy.example.com:3128, or empty for none")
    return url


def state_url(url: str) -> str:
    if not url:
        return url
    form = "must be redis://HOST:6379, rediss://HOST:6379 (TLS) or unix:///path/of/the.sock"
    try:
        parts = urlsplit(url)
        has_path = not parts.netloc and len(parts.path) > 1
        named = has_path if parts.scheme == "unix" else bool(parts.hostname)
        several = "," in parts.netloc or "sentinel" in parts.scheme or "cluster" in parts.scheme
        if not several:
            named = named and parts.port != 0
    except ValueError:
        raise ValueError(form) from None
    if several:
        raise ValueError(f"Sentinel and Cluster are not supported: name one server: {form}")
    if parts.password is not None:
        raise ValueError('has a password in it, which is refused: write password = "env:NAME" beside the url')
    if parts.username is not None:
        raise ValueError("has a user in it: write user = ... beside the url")
    if parts.query or parts.fragment:
        raise ValueError(f"takes no options (? or #), Sentinel and Cluster are not supported: {form}")
    if parts.scheme not in {"redis", "rediss", "unix"} or not named:
        raise ValueError(form)
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path):
        raise ValueError("has more after the host than the number of a database, such as /0")
    return url


def state_prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError('must be 1 to 64 letters, digits and - . _ : such as "rotator:"')
    return text


def host(host: str) -> str:
    if not _HOST.fullmatch(host) or not re.search(r"[A-Za-z0-9]", host.rpartition(":")[0] or host):
        raise ValueError(
            "must be a host such as api.example.com, *.example.com or localhost:8080, "
            "without https:// and path"
        )
    return host


def page_origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("must be the origin of a page such as https://app.example.com, without path and *")
    return origin.lower()


def provider_name(name: str) -> str:
    if not _PROVIDER_NAME.fullmatch(name):
        raise ValueError("a provider's name is of small letters and digits, with - . _ between them")
    return name


def credential_name(name: str) -> str:
    if not 0 < len(name) <= 32 or not name.isprintable():
        raise ValueError("must be a name of 1 to 32 printable characters")
    return name


def user_name(name: str) -> str:
    if not (0 < len(name) <= 128 and name.isprintable() and name.strip()) or ":" in name:
        raise ValueError("must be the name of a user, as it stands in the URL of the proxy")
    return name


def model_glob(glob: str) -> str:
    if not glob.removeprefix("!").strip():
        raise ValueError("must be a glob over names of models such as gpt-5*, or !*-pro for none of these")
    return glob


def limit(limit: object) -> float:
    if isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit <= _MOST:
        return float(limit)
    raise ValueError(f"must be a number above 0 and at most {_MOST:g}")


def period(per: object) -> float | str:
    if isinstance(per, str) and per in _PERIODS:
        return per
    if (
        isinstance(per, int | float)
        and not isinstance(per, bool)
        and _SHORTEST_PERIOD <= per <= _LONGEST_PERIOD
    ):
        return float(per)
    raise ValueError('must be seconds, at least 1 and at most a year, or "day", "week" or "month"')


def zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # a folder of the database is an OSError
        raise ValueError('must be a time zone such as "Europe/Berlin" or "UTC"') from None
    return name


def cap(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < abs(value) <= _MOST:
        return value
    if isinstance(value, str) and _SHARE.fullmatch(value) and 0 < float(value[:-1]) <= 100:
        return value
    raise ValueError('must be a number such as 3, one such as -8 (below the limit), or a share such as "50%"')


def glob(glob: str) -> str:
    if not glob.strip() or glob.startswith("!"):
        raise ValueError("must be a glob over names of models such as gpt-5*")
    return glob


def group(name: str) -> str:
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise ValueError("must be a name of 1 to 64 printable characters")
    return name


def fair_cycle(value: object) -> bool | str:
    if isinstance(value, bool) or value in ("tier", "all"):
        return value
    raise ValueError('must be true, false, "tier" or "all"')


def path(text: str) -> str:
    if not text.startswith("/") or "?" in text:
        raise ValueError("must be a path such as /v1/chat/completions, without a query")
    if not is_path(text):
        raise ValueError(
            "may have {model} and {method} in it, no other braces, and nothing that is not percent-encoded"
        )
    return text


def said(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty: write what the error says")
    return text


def variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of a variable such as ACME_API_KEY, or empty for none")
    return name


def adapter(spec: object) -> object:
    if not isinstance(spec, str | dict):
        raise ValueError(  # noqa: TRY004  # as all of these
            'must be the name of an adapter, or a table such as { name = "drop_params", params = ["seed"] }'
        )
    return spec


def quota_check(value: dict[str, Any]) -> dict[str, Any]:
    checks.stated(value)
    return value


def code(reference: str) -> str:
    if not _CODE.fullmatch(reference):
        raise ValueError('must be a file and a class in it, such as "quirks.py:Acme", or a registered name')
    return reference


def folder(path: str) -> str:
    if "\0" in path:
        raise ValueError("must be the path of a folder")
    return path


def destination(text: str) -> str:
    provider, slash, model = text.partition("/")
    if not provider or (slash and not model):
        raise ValueError('must be "provider" or "provider/model"')
    return text
