"""What the file of a login says, and what it says after a refresh. Pure: text in, text out."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from protocols.model.wirejson import JsonObject, load_object, number_at, object_at, text_at, texts_at
from rewrite.oauth.kinds import AHEAD, Encoding, FileForm, OAuthKind, Unit

_INDENT = re.compile(r"\{\r?\n([ \t]+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VISIBLE = re.compile(r"[!-~]+")

UNSTATED = 3600.0
"""Seconds for which a new token is taken to last, if its endpoint does not say."""
_LONGEST = 10 * 365 * 86_400.0
"""Seconds: no token lasts longer, whatever is said."""
_LATEST = 1e11
"""Epoch seconds, beyond all dates."""


class Unreadable(Exception):
    """A file that holds no login. `half`: it may be half written."""

    def __init__(self, why: str, *, half: bool = False) -> None:
        super().__init__(why)
        self.half = half


@dataclass(frozen=True, slots=True)
class Tokens:
    """A login. The tokens stand in no text about it."""

    access: str = field(repr=False)
    """Goes with calls."""
    refresh: str = field(default="", repr=False)
    """Gets another; empty where there is none."""
    expires_at: float | None = None
    """The end of `access` in epoch seconds; None: not known."""
    scopes: tuple[str, ...] = ()
    """What it may do."""
    account: str = ""
    """The account that it is for."""
    due_at: float | None = None
    """When it is to be refreshed, in epoch seconds, where that is not some minutes before its end."""

    def is_due(self, now: float) -> bool:
        """Whether it is to be refreshed before it is used."""
        if not self.access:
            return True
        if self.due_at is not None:
            return now >= self.due_at
        return self.expires_at is not None and now >= self.expires_at - AHEAD

    def is_over(self, now: float) -> bool:
        """Whether it is of no use any more."""
        return not self.access or (self.expires_at is not None and now >= self.expires_at)


def is_sendable(token: str) -> bool:
    """Whether it can stand in a header: not what has a line break in it."""
    return _VISIBLE.fullmatch(token) is not None


def tokens_in(text: str, kind: OAuthKind) -> Tokens:
    """The login that a file of `text` holds. Raises Unreadable."""
    form, tree = kind.form, _tree(text)
    table = _table(tree, form)
    access = text_at(table, form.access) if form.access else ""
    refresh = text_at(table, form.refresh)
    sent = access or (refresh if kind.encoding is Encoding.GET else "")
    account = text_at(table, form.account)
    for what, held in (("a token", sent), ("an account", account)):
        if held and not is_sendable(held):
            raise Unreadable(f"holds {what} that no header can hold: {kind.login}")
    if not sent:
        raise Unreadable(f"holds no login: {kind.login}")
    return Tokens(
        access,
        refresh,
        _end(table, tree, access, kind),
        texts_at(table, form.scopes),
        account,
    )


def refreshed(text: str, kind: OAuthKind, answer: JsonObject, now: float) -> str:
    """`text` with what a refresh answered at `now` (epoch seconds), in its own form: unknown fields and
    their order stay. Raises Unreadable."""
    form, tree = kind.form, _tree(text)
    old = _table(tree, form)
    new = {**old, **_given(form, answer, now)}
    whole = {**tree, _key(tree, form): new} if form.at else new
    if form.refreshed:
        whole = {**whole, form.refreshed: _rfc3339(now)}
    return _written(whole, text)


def _given(form: FileForm, answer: JsonObject, now: float) -> dict[str, object]:
    """What an answer has, by the keys of the file. What is missing in it, or no text, stays: a login that
    loses its refresh token is lost."""
    texts = {form.access: "access_token", form.refresh: "refresh_token"} | {
        name: name for name in form.copies
    }
    pairs: dict[str, object] = {key: said for key, name in texts.items() if (said := text_at(answer, name))}
    refresh_lasts = lasting(answer, "refresh_token_expires_in")
    if form.expires:
        pairs[form.expires] = _in_unit(now + (lasting(answer, "expires_in") or UNSTATED), form.unit)
    if form.refresh_expires and refresh_lasts is not None:
        pairs[form.refresh_expires] = _in_unit(now + refresh_lasts, form.unit)
    return {key: value for key, value in pairs.items() if key}


def lasting(answer: JsonObject, key: str) -> float | None:
    """Seconds that an answer states, as a number or as a text; None where they say nothing."""
    value = answer.get(key)
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return None
    return min(seconds, _LONGEST) if seconds > 0 and not isinstance(value, bool) else None


def moment_at(mapping: JsonObject, key: str, unit: float = 1.0) -> float | None:
    """Epoch seconds, of a number of units of so many seconds; None for what is no time."""
    number = number_at(mapping, key)
    return number * unit if number is not None and 0 <= number <= _LATEST / unit else None


def _tree(text: str) -> JsonObject:
    tree = load_object(text.encode())
    if tree is None:
        raise Unreadable("is no JSON object", half=True)
    return tree


def _key(tree: JsonObject, form: FileForm) -> str:
    return next((key for key in tree if fnmatchcase(key, form.at)), form.at)


def _table(tree: JsonObject, form: FileForm) -> JsonObject:
    return object_at(tree, _key(tree, form)) if form.at else tree


def _end(table: JsonObject, tree: JsonObject, access: str, kind: OAuthKind) -> float | None:
    """When a token ends, in epoch seconds."""
    said = _seconds(table.get(kind.form.expires), kind.form.unit, access)
    if said is not None or not kind.lifetime:
        return said
    since = _seconds(tree.get(kind.form.refreshed), Unit.RFC3339, access)
    return None if since is None else since + kind.lifetime


def _seconds(value: object, unit: Unit, access: str) -> float | None:
    match unit:
        case Unit.JWT:
            return moment_at(claims(access), "exp")
        case Unit.RFC3339:
            return _date(value) if isinstance(value, str) else None
        case Unit.SECONDS:
            return moment_at({"at": value}, "at")
        case Unit.MILLISECONDS:
            return moment_at({"at": value}, "at", 0.001)


def claims(token: str) -> Mapping[str, object]:
    """What a JWT says, unverified; nothing where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        data = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return {}
    return load_object(data) or {}


def _date(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _in_unit(moment: float, unit: Unit) -> object:
    match unit:
        case Unit.MILLISECONDS:
            return round(moment * 1000)
        case Unit.RFC3339:
            return _rfc3339(moment)
        case Unit.SECONDS | Unit.JWT:
            return round(moment)


def _rfc3339(moment: float) -> str:
    return (_EPOCH + timedelta(seconds=moment)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written(tree: JsonObject, like: str) -> str:
    """JSON in the layout of `like`: its indentation, or none, and its last line break."""
    found = _INDENT.match(like.lstrip())
    if found is None:
        text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    else:
        text = json.dumps(tree, ensure_ascii=False, indent=found[1])
    return text + ("\n" if like.endswith("\n") else "")
