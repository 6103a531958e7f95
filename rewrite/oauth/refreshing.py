"""How a token is refreshed: the request, and what its answer means."""

from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from protocols.model.http import Headers, UpstreamRequest, WireResponse, parsed
from protocols.model.wirejson import JsonObject, dump, load_object, object_at, text_at
from rewrite.oauth.files import Tokens, is_sendable, lasting, moment_at
from rewrite.oauth.kinds import Encoding, OAuthKind
from rewrite.policies.retry_after import clamped, retry_after

LONGEST_MESSAGE = 200
"""Characters of what an endpoint says that are repeated."""

LONGEST_WAIT = 1800.0
"""Seconds: no endpoint is left alone for longer, whatever it says."""

_OK = 200
_AGENT = "rotator"
_EARLIER = 60.0
"""Seconds before the time at which an exchanged token asks to be renewed."""


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Who asks, and where."""

    token_url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """There is a new token."""

    answer: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dead:
    """The user has to log in again."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No token now, maybe later."""

    message: str
    retry_after: float | None = None
    """Seconds that the endpoint asks to wait."""


type Renewal = Refreshed | Dead | Failed


def refresh_request(kind: OAuthKind, client: TokenClient, tokens: Tokens) -> UpstreamRequest:
    """What gets a new token for `tokens`, for exactly the scopes that they have."""
    where = parsed(client.token_url)
    target, headers, body = (where.prefix or "/").encode(), _headers(where.authority), b""
    method = "POST"
    fields = _fields(kind, client, tokens)
    match kind.encoding:
        case Encoding.JSON:
            headers, body = (*headers, ("content-type", "application/json")), dump(fields)
        case Encoding.FORM:
            form = ("content-type", "application/x-www-form-urlencoded")
            headers, body = (*headers, form), urlencode(fields).encode()
        case Encoding.GET:
            method, headers = "GET", (*headers, ("authorization", f"token {tokens.refresh}"))
    origin = parsed(f"{where.scheme}://{where.authority}")
    return UpstreamRequest(origin, method, target, headers, body)


def lasting_request(
    kind: OAuthKind, client: TokenClient, tokens: Tokens, path: str
) -> UpstreamRequest | None:
    """A GET of `path` with a token that is exchanged, from the server that exchanges it.

    A gateway has the paths of that server under one of its own, where `path` is too. None: the address does
    not end as that of `kind` does, so that nobody knows what is at `path`, and who would get the token.
    """
    where, own = parsed(client.token_url), parsed(kind.token_url)
    if not where.prefix.endswith(own.prefix):
        return None
    origin = parsed(f"{where.scheme}://{where.authority}{where.prefix.removesuffix(own.prefix)}")
    headers = (*_headers(where.authority), ("authorization", f"token {tokens.refresh}"))
    return UpstreamRequest(origin, "GET", f"{origin.prefix}{path}".encode(), headers, b"")


def _headers(host: str) -> Headers:
    """GitHub refuses requests of nobody."""
    return (("host", host), ("accept", "application/json"), ("user-agent", _AGENT))


def _fields(kind: OAuthKind, client: TokenClient, tokens: Tokens) -> dict[str, str]:
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": tokens.refresh,
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "scope": " ".join(tokens.scopes) if kind.scope else "",
    }
    return {name: value for name, value in fields.items() if value}


def renewal(kind: OAuthKind, answer: WireResponse, now: float) -> Renewal:
    """What the `answer` to a refresh means; `now` is epoch seconds."""
    body = load_object(answer.body) or {}
    if answer.status == _OK and (granted := _token_of(kind, body)):
        return Refreshed(granted)
    said = _said(answer, body)
    if _codes(body) & set(kind.dead) or answer.status in kind.dead_status:
        return Dead(said)
    wait = retry_after(answer.headers, body, now, windows=False)
    return Failed(said, None if wait is None else clamped(wait, longest=LONGEST_WAIT))


def _token_of(kind: OAuthKind, body: JsonObject) -> JsonObject | None:
    """An answer with a token in it that can be sent; a token that was exchanged as any other."""
    if kind.encoding is Encoding.GET and text_at(body, "token"):
        body = {"access_token": body["token"], **body}
    return body if is_sendable(text_at(body, "access_token")) else None


def short_token(tokens: Tokens, answer: JsonObject, now: float) -> Tokens:
    """`tokens` with the token that they were exchanged for at `now`, in epoch seconds."""
    lasts = lasting(answer, "refresh_in")
    return replace(
        tokens,
        access=text_at(answer, "access_token"),
        expires_at=moment_at(answer, "expires_at"),
        due_at=None if lasts is None else now + lasts - _EARLIER,
    )


def _codes(body: JsonObject) -> set[str]:
    """What an error may be called in: a text, or an object with a code."""
    error = object_at(body, "error")
    found = (text_at(body, "error"), text_at(error, "code"), text_at(error, "type"), text_at(body, "code"))
    return {each for each in found if each}


def _said(answer: WireResponse, body: JsonObject) -> str:
    """For a reader: status, code and message."""
    places = (object_at(body, "error"), object_at(body, "error_details"), body)
    messages = (text_at(body, "error_description"), *(text_at(each, "message") for each in places))
    message = next(filter(None, messages), "")
    code = next(iter(sorted(_codes(body))), "")
    named = f"{answer.status} {code}".strip() if answer.status != _OK else f"{_OK}, but no token"
    return f"{named}: {message}"[:LONGEST_MESSAGE] if message else named
