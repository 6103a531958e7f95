"""Credentials in requests: taken out of a head, put back as they were, or replaced by another one.

A carrier is where a key travels: Authorization, x-api-key, api-key, x-goog-api-key, `?key=`, or
`?access_token=`. All of them are removed before one is written. Values are SecretStr from the moment they
leave the head.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from protocols.base import Headers
from rewrite.providers import Carrier

HEADERS = {
    "authorization": Carrier.BEARER,
    "x-api-key": Carrier.X_API_KEY,
    "x-goog-api-key": Carrier.X_GOOG_API_KEY,
    "api-key": Carrier.API_KEY,
}
_NAMES = {carrier: name for name, carrier in HEADERS.items()} | {Carrier.BEARER: "Authorization"}
_QUERY_KEYS = ("key", "access_token")
_KEY_SCHEMES = ("bearer", "")


@dataclass(frozen=True, slots=True)
class Carried:
    """One credential as it travelled. `position` among the headers, or among the query's pairs."""

    name: str
    position: int
    value: SecretStr
    in_query: bool = False

    @property
    def carrier(self) -> Carrier | None:
        return None if self.in_query else HEADERS[self.name.lower()]

    @property
    def scheme(self) -> str:
        """The authorization scheme in lower case, "" where there is none."""
        scheme, space, _ = self.value.get_secret_value().partition(" ")
        return scheme.lower() if space else ""

    @property
    def token(self) -> str:
        """The key alone."""
        return (
            self.value.get_secret_value().partition(" ")[2] if self.scheme else self.value.get_secret_value()
        )


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """What a client sent, in every carrier that it used; at least one."""

    carried: Sequence[Carried]

    @property
    def secret(self) -> SecretStr:
        """The key that travelled first."""
        return SecretStr(self.carried[0].token)

    @property
    def secrets(self) -> list[SecretStr]:
        """All that travelled: an SDK may carry a placeholder beside the token that counts."""
        return [SecretStr(one.token) for one in self.carried]

    @property
    def fingerprint(self) -> str:
        """Tells credentials apart without giving one away: 12 hex digits of a SHA-256."""
        tokens = "\n".join(one.token for one in self.carried)
        return hashlib.sha256(tokens.encode("utf-8", "surrogateescape")).hexdigest()[:12]

    def is_api_key(self, oauth_prefixes: Sequence[str]) -> bool:
        """Whether a pool key may take its place: nothing in it is an OAuth token or of another scheme."""
        return all(
            one.scheme in _KEY_SCHEMES
            and one.name != "access_token"
            and not one.token.startswith(tuple(oauth_prefixes))
            for one in self.carried
        )


def take_out(headers: Headers, target: str) -> tuple[Headers, str, ClientCredential | None]:
    """Headers and request target (path and query) without any carrier, and what they carried."""
    found = [
        Carried(name, position, SecretStr(value))
        for position, (name, value) in enumerate(headers)
        if name.lower() in HEADERS and value
    ]
    rest = tuple((name, value) for name, value in headers if name.lower() not in HEADERS)
    path, mark, query = target.partition("?")
    pairs = query.split("&") if mark else []
    for position, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        if name in _QUERY_KEYS and value:
            found.append(Carried(name, position, SecretStr(value), in_query=True))
    kept = [pair for pair in pairs if pair.partition("=")[0] not in _QUERY_KEYS]
    stripped = path + ("?" + "&".join(kept) if kept else "")
    return rest, (stripped if pairs != kept else target), ClientCredential(tuple(found)) if found else None


def put_back(headers: Headers, target: str, credential: ClientCredential) -> tuple[Headers, str]:
    """The client's own credential where it was."""
    pairs = list(headers)
    path, mark, query = target.partition("?")
    query_pairs = query.split("&") if mark else []
    for one in credential.carried:
        value = one.value.get_secret_value()
        if one.in_query:
            query_pairs.insert(one.position, f"{one.name}={value}")
        else:
            pairs.insert(one.position, (one.name, value))
    return tuple(pairs), path + ("?" + "&".join(query_pairs) if query_pairs else mark)


def write(
    headers: Headers,
    target: str,
    secret: SecretStr,
    *,
    auth: Carrier,
    accepts: Sequence[Carrier],
    like: ClientCredential | None,
) -> tuple[Headers, str]:
    """A pool key in the client's form if the provider takes that, else as `auth`.

    The header stands where the client's stood. `headers` and `target` carry no credential yet.
    """
    first = like.carried[0] if like else None
    carrier = first.carrier if first else None
    if carrier is None or (carrier is not auth and carrier not in accepts):
        carrier = auth
    if carrier is Carrier.NONE:
        return headers, target
    same_form = first is not None and first.carrier is carrier
    name = first.name if first and same_form else _NAMES[carrier]
    value = secret.get_secret_value()
    header = (name, f"Bearer {value}" if carrier is Carrier.BEARER else value)
    position = first.position if first and not first.in_query else len(headers)
    return (*headers[:position], header, *headers[position:]), target
