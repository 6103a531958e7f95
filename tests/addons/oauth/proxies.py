"""Proxies that share a store, each with a login of its own file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from addons.config.shared_state import SharedState
from addons.oauth.logins import Logins
from addons.oauth.shared import SharedTokens
from addons.oauth.source import TokenSource
from addons.store.connection import Connection
from tests.addons.oauth.places import Place
from tests.addons.store.connecting import made, shared, until

KEY = SecretStr("the key that the tokens are encrypted with")
WHO = ("anthropic", "max-1")


@dataclass(frozen=True, slots=True)
class House:
    """One proxy."""

    place: Place
    store: Connection
    source: TokenSource

    async def up(self) -> None:
        self.store.start()
        await until(lambda: self.store.is_up)


def wanted(url: str, key: SecretStr = KEY) -> SharedState:
    return replace(shared(url), oauth_tokens=True, key=key)


@asynccontextmanager
async def house(
    place: Place, url: str, *, key: SecretStr = KEY, up: bool = True, first: bool = True
) -> AsyncIterator[House]:
    """One that ends with the block. `up`: the store is reached before that begins; `first`: it is the one
    that refreshes where none can ask the others."""
    store = made(url)
    tokens = SharedTokens(store, lambda notice: place.warned.append(notice.text), lambda: first)
    tokens.configure(wanted(url, key))
    logins = Logins(lambda: place.now, None, tokens)
    logins.configure({WHO: place.login})
    source = logins.source(WHO)
    assert source is not None
    one = House(place, store, source)
    try:
        if up:
            await one.up()
        yield one
    finally:
        await logins.close()
        await store.stop()


def copied(place: Place, name: str) -> Place:
    """The same login in a folder of another proxy."""
    folder: Path = place.folder / name
    folder.mkdir()
    other = Place(folder, place.kind, place.vendor, now=place.now)
    other.write(place.file.read_text())
    return other
