"""What came of refreshes, for all proxies of one store: one refreshes a login, the others follow it.

A refresh token is of use once with some vendors, and used twice it ends the login. So the answer to each
refresh is kept in the store, encrypted, under a mark of the refresh token that was used. Whoever has a token
that another proxy has used up finds there what came of it, step by step up to the newest. The proxies may
have the login in one file, or each in a copy of its own.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex

from addons.config.shared_state import SharedState
from addons.oauth.cipher import Cipher
from addons.oauth.lock import Busy
from addons.store.connection import Connection
from addons.store.line import StoreError
from addons.store.script import script
from protocols.model.wirejson import JsonObject, dump, load_object
from rewrite.credentials.notices import Notice

LOCKED = 40.0
"""Seconds that a lock lasts: longer than a refresh may take. Nobody frees it for who has ended."""

KEPT_USED_UP, KEPT = 30 * 86_400.0, 86_400.0
"""Seconds for which is kept what came of a refresh token: of one that was used up, and of one that lasts."""

_POLL = 0.05
"""Seconds between two looks at a lock that another proxy has."""

_MARK = 32
"""Hexadecimal digits."""

_TOPIC = "login"
_TAKE, _FREE, _FIND, _KEEP = (
    script("lock_take"),
    script("lock_free"),
    script("login_find"),
    script("login_keep"),
)
_OTHER_KEY = (
    "another proxy encrypts the tokens of logins under another key: "
    "give all of them the same [state] key, and start them again"
)


class OtherKey(Exception):
    """What came of a refresh token is encrypted under another key."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a refresh token."""

    answer: JsonObject = field(repr=False)
    """What its endpoint said."""
    age: float
    """Seconds since then."""


@dataclass(frozen=True, slots=True)
class _Unkept:
    """An answer that the store does not have yet."""

    answer: JsonObject = field(repr=False)
    used_up: bool
    at: float
    """When it came, by the clock that nobody sets."""


class Unshared:
    """What other proxies know of the tokens of logins: nothing."""

    @property
    def is_away(self) -> bool:
        """Whether the tokens are shared, and it cannot be known what the others do."""
        return False

    @property
    def leaves_to_others(self) -> bool:
        """Whether another proxy, which cannot be asked, is the one that refreshes."""
        return False

    def follow(self, changed: Callable[[str], None]) -> None:
        """`changed` is called when another proxy has refreshed a login: with the mark of the refresh token
        that it used, or with none where it may have been any."""

    def mark(self, refresh: str) -> str:
        """Stands for a refresh token in the store."""
        return ""

    @asynccontextmanager
    async def locked(self, what: str, wait: float) -> AsyncIterator[None]:
        """Be the only proxy that does `what`. Raises Busy after `wait` seconds. Where the store cannot be
        reached, or tokens are not shared, nobody is kept from it."""
        yield

    async def found(self, refresh: str) -> Answered | None:
        """What came of a refresh token at another proxy. None: nothing, or it cannot be known. Raises
        OtherKey."""
        return None

    async def keep(self, refresh: str, answer: JsonObject, *, used_up: bool) -> None:
        """`refresh` was answered so now. Where the store cannot be reached, it gets that later."""


class SharedTokens(Unshared):
    """What is in the store, if the config wants that. `notice` gets what a person has to know;
    `is_first` is true of one proxy of all."""

    def __init__(
        self, store: Connection, notice: Callable[[Notice], None], is_first: Callable[[], bool] = lambda: True
    ) -> None:
        self._store, self._notice, self._is_first = store, notice, is_first
        self._cipher: Cipher | None = None
        self._is_warned = False
        self._unkept: dict[str, _Unkept] = {}
        self._changed: Callable[[str], None] = _to_nobody
        store.subscribe(_TOPIC, self._heard)
        store.on_up(self._returned)

    def configure(self, shared: SharedState | None) -> None:
        wanted = shared.key if shared is not None and shared.oauth_tokens else None
        self._cipher = Cipher(wanted) if wanted is not None else None
        self._is_warned = False

    def follow(self, changed: Callable[[str], None]) -> None:
        self._changed = changed

    @property
    def is_away(self) -> bool:
        return self._cipher is not None and not self._store.is_up

    @property
    def leaves_to_others(self) -> bool:
        return self.is_away and not self._is_first()

    def mark(self, refresh: str) -> str:
        return sha256(f"{self._store.salt} {refresh}".encode()).hexdigest()[:_MARK]

    @asynccontextmanager
    async def locked(self, what: str, wait: float) -> AsyncIterator[None]:
        if self._cipher is None:
            yield
            return
        await self._store.begun()
        key = f"{self._store.prefix}lock:{sha256(what.encode()).hexdigest()[:_MARK]}"
        own = f"{self._store.proxy}:{token_hex(6)}"
        try:
            await self._take(key, own, wait)
            yield
        finally:
            with suppress(StoreError):
                await self._store.call(_FREE, [key], [own])

    async def _take(self, key: str, own: str, wait: float) -> None:
        end = time.monotonic() + wait
        with suppress(StoreError):
            while await self._store.call(_TAKE, [key], [own, round(LOCKED * 1000)]) != 1:
                if time.monotonic() >= end:
                    raise Busy("another proxy is refreshing it")
                await asyncio.sleep(_POLL * (1 + random.random()))  # spreads those who wait; nothing secret

    async def found(self, refresh: str) -> Answered | None:
        if self._cipher is None or not refresh:
            return None
        mark = self.mark(refresh)
        try:
            said = await self._store.call(_FIND, [self._key(mark)], [])
        except StoreError:
            return None
        match said:
            case [bytes(box), int(used_up), int(age)]:
                if answer := load_object(self._cipher.decrypted(box, mark) or b""):
                    return Answered(answer, max(age, 0) / 1000)  # the store's clock may have been set back
                self._say_once(_OTHER_KEY)
                if used_up:
                    raise OtherKey(_OTHER_KEY)
        return None

    def _say_once(self, text: str) -> None:
        if not self._is_warned:
            self._is_warned = True
            self._notice(Notice(text, warning=True))

    async def keep(self, refresh: str, answer: JsonObject, *, used_up: bool) -> None:
        if self._cipher is not None and refresh:
            self._unkept[refresh] = _Unkept(answer, used_up, time.monotonic())
            await self._write(self._cipher, refresh)

    async def _write(self, cipher: Cipher, refresh: str) -> None:
        mark, one = self.mark(refresh), self._unkept[refresh]
        box = cipher.encrypted(dump(one.answer), mark)
        lasts = KEPT_USED_UP if one.used_up else KEPT
        ages = [round((time.monotonic() - one.at) * 1000), round(lasts * 1000)]
        published = [self._store.channel, self._store.message(_TOPIC, mark)]
        with suppress(StoreError):
            await self._store.call(_KEEP, [self._key(mark)], [box, int(one.used_up), *ages, *published])
            self._unkept.pop(refresh, None)

    async def _returned(self) -> None:
        """The store can be reached: others may have refreshed since it could be."""
        if self._cipher is not None:
            for refresh in list(self._unkept):
                await self._write(self._cipher, refresh)
            self._changed("")

    def _heard(self, body: object) -> None:
        if self._cipher is not None and isinstance(body, str) and body:
            self._changed(body)

    def _key(self, mark: str) -> str:
        return f"{self._store.prefix}login:{mark}"


def _to_nobody(_: str) -> None:
    """Until somebody follows."""
