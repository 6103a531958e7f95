"""The kinds of logins: what a tool's file looks like, and how its token is refreshed. Read from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType

from msgspec import ValidationError, convert

AHEAD = 300.0
"""Seconds before the end of a token from which on it is refreshed."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Unit(StrEnum):
    """How a file says when its token ends."""

    SECONDS = "seconds"
    """Unix seconds."""
    MILLISECONDS = "milliseconds"
    """Unix milliseconds."""
    RFC3339 = "rfc3339"
    """A date and time with its zone."""
    JWT = "jwt"
    """The token itself does, in its claim `exp`."""


class Encoding(StrEnum):
    """How a refresh is asked for."""

    JSON = "json"
    FORM = "form"
    GET = "get"
    """With the long-lived token in Authorization: it is exchanged for a short one, and no file is written."""


@dataclass(frozen=True, slots=True)
class FileForm:
    """Where things stand in a tool's file. The names are keys of JSON; an empty one: it is not there."""

    access: str = ""
    """The token that goes with calls."""
    refresh: str = ""
    """The one that gets another."""
    at: str = ""
    """The key of the table that holds the tokens, a glob; empty: they are outermost."""
    expires: str = ""
    """When the token ends, in `unit`."""
    unit: Unit = Unit.SECONDS
    scopes: str = ""
    """What the token may do: a list of texts."""
    refresh_expires: str = ""
    """When the refresh token ends, in `unit`; written where the answer says so."""
    account: str = ""
    """The account that the token is for."""
    refreshed: str = ""
    """Outermost: when the token was refreshed last, in RFC 3339."""
    copies: tuple[str, ...] = ()
    """Fields of the answer that are kept beside the tokens, under the same name."""


@dataclass(frozen=True, slots=True)
class OAuthKind:
    """One kind of login."""

    name: str
    """As `oauth` of a credential says it."""
    form: FileForm
    encoding: Encoding = Encoding.JSON
    """How a refresh is asked for."""
    clients: tuple[str, ...] = ()
    """The tools whose calls may use it, by their names among the clients that are known. None: any."""
    file: str = ""
    """Where the tool keeps it."""
    login: str = ""
    """How its user logs in again."""
    token_url: str = ""
    """Where its tokens are refreshed. Empty: the config has to say."""
    client_id: str = ""
    wants_secret: bool = False
    """Whether it is refreshed only with the secret of the tool's program, which the config has to name."""
    scope: bool = False
    """Whether a refresh names the scopes of the file: fewer would get a token that can do less."""
    single_use: bool = False
    """Whether a refresh token that is used twice ends the login."""
    lock: str = ""
    """The folder beside the file that whoever refreshes makes. Empty: the tool has none."""
    dead: tuple[str, ...] = ()
    """Error codes of a refresh after which the user has to log in again."""
    dead_status: tuple[int, ...] = ()
    """Statuses that mean the same."""
    headers: Mapping[str, str] = _NOTHING
    """What requests need besides the token. A value that begins with + is added to a list of values;
    {account} stands for the account of the file."""
    has_project: bool = False
    """Whether calls name a project of Code Assist's, which belongs to the account."""
    lifetime: float = 0.0
    """Seconds from a refresh to the end of its token, where neither says so. 0: not known."""


def oauth_kinds(tables: Mapping[str, object]) -> dict[str, OAuthKind]:
    """The kinds by name. Raises ValueError, naming kind and key, for what does not fit."""
    return {name: _kind(name, table) for name, table in tables.items()}


def _kind(name: str, table: object) -> OAuthKind:
    given = _known(table, OAuthKind, name)
    form = _known(given.get("form", {}), FileForm, f"{name}.form")
    try:
        return convert({**given, "form": form, "name": name}, OAuthKind)
    except ValidationError as error:
        raise ValueError(f"{name}: {error}") from None


def _known(table: object, form: type[OAuthKind | FileForm], where: str) -> Mapping[str, object]:
    """`table`, which must have no key but those of `form`."""
    found = convert(table, dict[str, object])
    if unknown := sorted(found.keys() - {each.name for each in fields(form)}):
        raise ValueError(f"{where}: unknown keys {', '.join(unknown)}")
    return found
