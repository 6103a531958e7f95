"""What a request needs besides the token of a login."""

from protocols.model.http import Headers
from rewrite.oauth.kinds import OAuthKind

ADDED = "+"
"""Begins a value that is one of a list."""


def with_needed(headers: Headers, kind: OAuthKind, account: str) -> Headers:
    """`headers` with what `kind` needs, `account` being that of the login. A value for a list comes after
    what the client has there; any other takes the place of the client's, an empty one too."""
    for name, value in kind.headers.items():
        if value.startswith(ADDED):
            headers = _listed(headers, name, value.removeprefix(ADDED))
        else:
            headers = _set(headers, name, value.replace("{account}", account))
    return headers


def _listed(headers: Headers, name: str, item: str) -> Headers:
    at = [index for index, pair in enumerate(headers) if pair[0].lower() == name]
    if not at:
        return (*headers, (name, item))
    if any(item == each.strip() for index in at for each in headers[index][1].split(",")):
        return headers
    last = at[-1]
    own, value = headers[last]
    return (*headers[:last], (own, f"{value},{item}" if value.strip() else item), *headers[last + 1 :])


def _set(headers: Headers, name: str, value: str) -> Headers:
    at = next((index for index, pair in enumerate(headers) if pair[0].lower() == name), len(headers))
    own = headers[at][0] if at < len(headers) else name
    rest = tuple(pair for pair in headers[at + 1 :] if pair[0].lower() != name)
    return (*headers[:at], *(((own, value),) if value else ()), *rest)
