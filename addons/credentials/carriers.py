"""Credentials in requests: taken out of a head, put back as they were, or replaced by another one.

A carrier is where a key travels: Authorization, x-api-key, api-key, x-goog-api-key, `?key=`, `?api_key=`,
`?access_token=`, or an item of Sec-WebSocket-Protocol. All of them are removed before one is written. Values
are SecretStr from the moment they leave the head.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pydantic import SecretStr

from addons.credentials import subprotocols
from addons.mitm.messages import HOP_BY_HOP
from protocols.model.http import Headers
from rewrite.catalog.providers import Carrier

HEADERS = {
    "authorization": Carrier.BEARER,
    "x-api-key": Carrier.X_API_KEY,
    "x-goog-api-key": Carrier.X_GOOG_API_KEY,
    "api-key": Carrier.API_KEY,
}
_NAMES = {carrier: name for name, carrier in HEADERS.items()} | {Carrier.BEARER: "Authorization"}
_CARRYING = frozenset({*HEADERS, subprotocols.HEADER})
_TOKEN = "accesstoken"
_QUERY_KEYS = {
    _TOKEN,
    "authtoken",
    "oauthtoken",
    "key",
    "apikey",
    "xapikey",
    "xgoogapikey",
    "subscriptionkey",
}
"""Names in a query, as `_plain` gives them."""

_MAY_CARRY = re.compile("key|token")
"""What any of these names has in it; to look at each of many pairs takes long."""

_KEY_SCHEMES = ("bearer", "")


@dataclass(frozen=True, slots=True)
class Carried:
    """One credential as it travelled."""

    name: str
    """Of its header, or of its pair in the query."""
    position: int
    """Its place among the end-to-end headers, or among the pairs of the query."""
    value: SecretStr
    """All of the header's value, with the scheme; or of the pair's."""
    in_query: bool = False
    """Whether it travelled in the query."""
    item: int | None = field(default=None, repr=False)
    """Its place in a list of subprotocols. None: it was in none."""

    @property
    def carrier(self) -> Carrier | None:
        if self.item is not None:
            return Carrier.SUBPROTOCOL
        return None if self.in_query else HEADERS[self.name.lower()]

    @property
    def scheme(self) -> str:
        """The authorization scheme in lower case, "" where there is none."""
        words = self._words
        return words[0].lower() if len(words) > 1 else ""

    @property
    def token(self) -> str:
        """The key alone."""
        return self._words[-1]

    @property
    def kind(self) -> str:
        """The key as its server reads it, by whose beginning its kind is known."""
        return unquote(self.token) if self.in_query else self.token

    @property
    def _words(self) -> Sequence[str]:
        return self.value.get_secret_value().split(None, 1) or ("",)


@dataclass(frozen=True, slots=True)
class ClientCredential:
    """What a client sent for a key."""

    carried: Sequence[Carried]
    """In every place that it used; at least one."""
    fingerprint: str = field(init=False)
    """Tells credentials apart without giving one away: 12 hex digits of a SHA-256."""

    def __post_init__(self) -> None:
        tokens = "\n".join(one.token for one in self.carried)
        digest = hashlib.sha256(tokens.encode("utf-8", "surrogateescape")).hexdigest()
        object.__setattr__(self, "fingerprint", digest[:12])

    @property
    def secret(self) -> SecretStr:
        """The key that travelled first."""
        return SecretStr(self.carried[0].token)

    @property
    def secrets(self) -> list[SecretStr]:
        """All that travelled: an SDK may carry a placeholder beside the token that counts."""
        return [SecretStr(one.token) for one in self.carried]

    def is_api_key(self, oauth_prefixes: Sequence[str]) -> bool:
        """Whether a pool key may take its place: nothing in it is an OAuth token or of another scheme."""
        return all(
            one.scheme in _KEY_SCHEMES
            and not (one.in_query and _plain(one.name) == _TOKEN)
            and not one.kind.startswith(tuple(oauth_prefixes))
            for one in self.carried
        )

    def begins_with(self, prefixes: Sequence[str]) -> bool:
        """Whether any of it does."""
        return any(one.kind.startswith(tuple(prefixes)) for one in self.carried)


def take_out(headers: Headers, target: str) -> tuple[Headers, str, ClientCredential | None]:
    """Headers and request target (path and query) without any carrier, and what they carried."""
    found: list[Carried] = []
    others: list[tuple[str, str]] = []
    for position, (name, value) in enumerate(headers):
        if name.strip().lower() not in _CARRYING:
            others.append((name, value))
            continue
        left, carried = _taken(name, value, position)
        found += carried
        others += [(name, left)] if left is not None else []
    path, mark, query = target.partition("?")
    pairs = query.split("&") if mark and _MAY_CARRY.search(_plain(query)) else []
    for position, pair in enumerate(pairs):
        name, _, value = pair.partition("=")
        if _plain(name) in _QUERY_KEYS and value:
            found.append(Carried(name, position, SecretStr(value), in_query=True))
    kept = [pair for pair in pairs if _plain(pair.partition("=")[0]) not in _QUERY_KEYS]
    stripped = path + ("?" + "&".join(kept) if kept else "")
    own = ClientCredential(tuple(found)) if found else None
    return tuple(others), (stripped if pairs != kept else target), own


def _plain(name: str) -> str:
    """The name of a query's pair, however it is written: `API-Key`, `api_key` and `%61pi_key` are one."""
    return re.sub(r"[-_$]", "", unquote(name).lower())


def _taken(name: str, value: str, position: int) -> tuple[str | None, list[Carried]]:
    """What is left of a header's value, None for nothing of the header; and what it carried.

    A name with blanks around it is refused later; what it carries is a key all the same.
    """
    plain = name.strip()
    if plain.lower() in HEADERS:
        return None, [Carried(plain, position, SecretStr(value))] if value else []
    if name.lower() == subprotocols.HEADER:
        offer, keys = subprotocols.split(value)
        carried = [Carried(name, position, SecretStr(key), item=place) for place, key in keys if key]
        return (offer if offer or not keys else None), carried
    return value, []


def put_back(headers: Headers, target: str, credential: ClientCredential) -> tuple[Headers, str]:
    """The client's own credential where it was."""
    pairs = list(headers)
    path, mark, query = target.partition("?")
    query_pairs = query.split("&") if mark else []
    for one in credential.carried:
        value = one.value.get_secret_value()
        if one.in_query:
            query_pairs.insert(one.position, f"{one.name}={value}")
        elif one.item is not None:
            _offer(pairs, one, value)
        else:
            pairs.insert(_place(pairs, one.position), (one.name, value))
    return tuple(pairs), path + ("?" + "&".join(query_pairs) if query_pairs else mark)


def _offer(pairs: list[tuple[str, str]], one: Carried, key: str) -> None:
    """A key among the subprotocols, where it stood; in a request that opens no WebSocket as a bearer's."""
    if not _opens_websocket(pairs):
        pairs.insert(_place(pairs, one.position), ("Authorization", f"Bearer {key}"))
        return
    offers = (at for at, (name, _) in enumerate(pairs) if name.lower() == subprotocols.HEADER)
    at = next(offers, None)
    if at is None:
        pairs.insert(_place(pairs, one.position), (one.name, subprotocols.with_key("", 0, key)))
    else:
        name, offer = pairs[at]
        pairs[at] = (name, subprotocols.with_key(offer, one.item or 0, key))


def _opens_websocket(headers: Sequence[tuple[str, str]]) -> bool:
    return "sec-websocket-key" in [name.lower() for name, _ in headers]


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
    headers = _without_account(headers)
    carrier = _form(headers, secret, auth, accepts, first)
    if first and carrier is Carrier.SUBPROTOCOL:
        pairs = list(headers)
        _offer(pairs, first, secret.get_secret_value())
        return tuple(pairs), target
    if carrier is Carrier.NONE:
        return headers, target
    same_form = first is not None and first.carrier is carrier
    name = first.name if first and same_form else _NAMES[carrier]
    value = secret.get_secret_value()
    header = (name, f"Bearer {value}" if carrier is Carrier.BEARER else value)
    position = _place(headers, first.position) if first and not first.in_query else len(headers)
    return (*headers[:position], header, *headers[position:]), target


def _form(
    headers: Headers, secret: SecretStr, auth: Carrier, accepts: Sequence[Carrier], first: Carried | None
) -> Carrier:
    """The client's own where the provider takes it and the request can have it."""
    carrier = first.carrier if first else None
    if carrier is None or carrier not in (auth, *accepts):
        return auth
    listed = carrier is Carrier.SUBPROTOCOL
    fits = _opens_websocket(headers) and subprotocols.can_carry(secret.get_secret_value())
    return auth if listed and not fits else carrier


def _without_account(headers: Headers) -> Headers:
    """A key of the pool does not go out beside the account of the client's own."""
    offers = [at for at, (name, _) in enumerate(headers) if name.lower() == subprotocols.HEADER]
    pairs = list(headers)
    for at in reversed(offers):
        name, value = pairs[at]
        left = subprotocols.without_account(value)
        pairs[at : at + 1] = [(name, left)] if left else []
    return tuple(pairs)


def _place(headers: Sequence[tuple[str, str]], position: int) -> int:
    """The index of the end-to-end header at `position`: where others stand, they are not counted."""
    counted = [index for index, (name, _) in enumerate(headers) if name.lower() not in HOP_BY_HOP]
    return counted[position] if position < len(counted) else len(headers)
