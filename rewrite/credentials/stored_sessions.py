"""Which conversation stays where, as entries and back: hashes and names of credentials. Pure."""

from collections.abc import Iterable, Mapping

from protocols.model.wirejson import flag_at, number_at, text_at
from rewrite.credentials.entries import Entries, Entry, Key, Kind, Value
from rewrite.credentials.sessions import TTL, Binding, Known, Maker, Mark, Sessions, left_by

MAKERS_FOR = 7 * 86_400.0
"""Seconds for which it is kept who made an answer."""


def session_entries(known: Iterable[Known]) -> dict[Key, Entry]:
    """What is `known` of conversations. Of an answer that several left it is not kept whose it is."""
    found: dict[Key, Entry] = {}
    for (provider, hashed), one in known:
        scope = hashed.hex()
        match one:
            case Binding():
                found[Key(Kind.BINDING, provider, scope=scope)] = Entry(one.at, one.at + TTL, _bound(one))
            case Mark(whose=bytes() as whose):
                found[Key(Kind.MARK, provider, scope=scope)] = Entry(one.at, one.at + TTL, whose.hex())
            case Maker():
                found[Key(Kind.MAKER, provider, scope=scope)] = Entry(
                    one.at, one.at + MAKERS_FOR, one.credential
                )
            case _:
                pass
    return found


def _bound(one: Binding) -> Value:
    value: dict[str, object] = {"home": one.home, "home_before": one.at - one.home_at, "served": one.served}
    return {**value, "away": one.away} if one.away else value


def restore(sessions: Sessions, changes: Entries) -> None:
    """Let `sessions` know what another proxy, or an earlier one, knew, the oldest first."""
    known = ((key, one) for key, one in changes.items() if key.kind in (Kind.BINDING, Kind.MARK, Kind.MAKER))
    for key, entry in sorted(known, key=lambda pair: pair[1].at):
        hashed, one = _unhex(key.scope), _restored(key.kind, entry)
        if hashed and one:
            sessions.restore((key.provider, hashed), one)


def _restored(kind: Kind, entry: Entry) -> Binding | Mark | Maker | None:
    value = entry.value
    match kind, value:
        case Kind.BINDING, Mapping():
            home, before = text_at(value, "home"), number_at(value, "home_before") or 0.0
            served, away = flag_at(value, "served") is not False, text_at(value, "away") or None
            return Binding(home, entry.at, entry.at - before, away, served) if home else None
        case Kind.MARK, str():
            whose = _unhex(value)
            return left_by(whose, entry.at) if whose else None
        case Kind.MAKER, str():
            return Maker(value, entry.at)
        case _:
            return None


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
