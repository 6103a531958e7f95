"""Kept responses in the store: what one proxy keeps, the others find and may delete.

Each proxy keeps what it made and what it fetched, and asks the store for what it lacks.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress

from addons.responses.storage import Storage
from addons.store.connection import Connection
from addons.store.line import Answer, Argument, StoreError
from addons.store.script import script
from protocols.model.wirejson import dump, load_object
from rewrite.responses.store import Bounds, Stored, as_mapping, from_mapping

AT_ONCE = 16
"""How many responses of a conversation are fetched with one command."""

MOMENTS = (0.0, 0.05, 0.2)
"""Seconds before each look for a response: its client may be faster than its proxy is in keeping it."""

GOODBYE = 2.0
"""Seconds that the end of the proxy waits for the store."""

PIECE = 1 << 17
"""Bytes that are sent or fetched at once. Calls wait for the answers to what was asked after that."""

LONG = 30.0
"""Seconds within which is sent what nobody waits for."""

_ASIDE = 60_000
"""Milliseconds for which a piece stays that others do not follow."""

_ID = 32
"""Characters of an id of ours."""

_COMPARED = 200
"""Responses that the store is asked about with one command."""

_TOPIC = "response"
_PUT, _KEEP, _FIND = script("response_put"), script("response_keep"), script("response_find")
_DELETE, _KNOWN = script("response_delete"), script("response_known")

type _Name = tuple[str, str]
"""A scope and an id."""


class SharedResponses:
    """Those of all proxies. `storage` gives what this one keeps by itself, `clock` epoch seconds."""

    def __init__(
        self, store: Connection, storage: Callable[[], Storage], clock: Callable[[], float] = time.time
    ) -> None:
        self.is_on = False
        """Whether responses are shared."""
        self._store, self._storage, self._clock = store, storage, clock
        self._bounds = Bounds()
        self._deleted: set[_Name] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        store.subscribe(_TOPIC, self._heard)
        store.on_up(self._returned)

    def configure(self, bounds: Bounds, *, is_on: bool) -> None:
        was_on, self._bounds, self.is_on = self.is_on, bounds, is_on
        if is_on and not was_on and self._store.is_up:
            self._begin(self._compare())

    async def close(self) -> None:
        """The proxy ends: what others are to have is on its way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE)

    # -- what this proxy does -------------------------------------------------------------------------

    def keep(self, stored: Stored) -> None:
        """Let the others have it. What the store does not get now it gets when it is there again."""
        if self.is_on and self._store.is_up:
            self._begin(self._kept(stored))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kept(self, stored: Stored) -> None:
        with suppress(StoreError):
            await self._keep(stored)

    async def _keep(self, stored: Stored) -> None:
        """A long one piece by piece, between which others get their answers. Raises StoreError."""
        left = stored.created + self._bounds.ttl - self._clock()
        if stored.size > self._bounds.max_bytes or left <= 0:
            return
        said = (stored.previous or "").ljust(_ID).encode() + dump(as_mapping(stored))
        aside = f"{self._prefix}part:{self._store.proxy}:{stored.id}"
        if len(said) > PIECE:
            for start in range(0, len(said), PIECE):
                await self._store.call(_PUT, [aside], [start, said[start : start + PIECE], _ASIDE])
            said = b""
        named = f"{self._prefix}r:", _joined(stored.scope, stored.id), stored.id
        bounds = round(left * 1000), self._bounds.max_bytes, self._bounds.max_count
        keys = [*self._keys(stored.scope, stored.id), aside]
        await self._store.call(_KEEP, keys, [*named, said, stored.size, *bounds])

    def delete(self, scope: str, response_id: str) -> None:
        """Let nobody have it any more."""
        name = scope, response_id

        def over(answer: Answer) -> None:
            if answer is not None:
                self._deleted.discard(name)

        if self.is_on:
            self._deleted.add(name)
            self._store.ask(_DELETE, self._keys(*name), self._deleting(*name), over, seconds=LONG)

    def _deleting(self, scope: str, response_id: str) -> Sequence[Argument]:
        published = self._store.channel, self._store.message(_TOPIC, [scope, response_id])
        return _joined(scope, response_id), response_id, round(self._bounds.ttl * 1000), *published

    async def fetch(self, scope: str, response_id: str) -> bool:
        """Keep a response of another proxy here, and those before it. Whether it is there. Raises
        StoreError."""
        await self._store.begun()
        for moment in MOMENTS:
            await asyncio.sleep(moment)
            if found := await self._found(scope, response_id):
                for each in found:
                    self._storage().keep(each)
                return True
        return False

    async def _found(self, scope: str, response_id: str) -> list[Stored]:
        keys = [f"{self._prefix}responses:used", f"{self._prefix}r:of:{scope}"]
        args = f"{self._prefix}r:", f"{scope}:", response_id, AT_ONCE, PIECE, 2 * PIECE
        said, found = await self._store.call(_FIND, keys, args), list[Stored]()
        for each in said if isinstance(said, list) else ():
            one = await self._whole(scope, response_id, each)
            if one is None:
                break
            found.append(one)
            response_id = one.previous or ""
        return found

    async def _whole(self, scope: str, response_id: str, begun: Answer) -> Stored | None:
        """A response of which the beginning is there. Raises StoreError."""
        match begun:
            case [int(length), bytes(first)]:
                key, said = f"{self._prefix}r:{_joined(scope, response_id)}", bytearray(first)
                while len(said) < length:
                    more = await self._store.command("GETRANGE", key, len(said), len(said) + PIECE - 1)
                    if not (isinstance(more, bytes) and more):
                        return None  # it was deleted meanwhile
                    said += more
                return _read(bytes(said[_ID:]), scope, response_id)
        return None

    # -- what others do -------------------------------------------------------------------------------

    def _heard(self, body: object) -> None:
        match body:
            case [str(scope), str(response_id)] if self.is_on:
                self._storage().remove(scope, response_id)

    async def _returned(self) -> None:
        """The store is there: it gets what it lacks, and this proxy lets go of what was deleted."""
        if self.is_on:
            self._begin(self._compare())

    async def _compare(self) -> None:
        with suppress(StoreError):
            for name in list(self._deleted):
                await self._store.call(_DELETE, self._keys(*name), self._deleting(*name))
                self._deleted.discard(name)
            held = self._storage().held()
            for start in range(0, len(held), _COMPARED):
                await self._compared(held[start : start + _COMPARED])

    async def _compared(self, names: Sequence[_Name]) -> None:
        """Raises StoreError."""
        keys = [key for name in names for key in self._keys(*name)[:2]]
        known = await self._store.call(_KNOWN, keys, [])
        for (scope, response_id), state in zip(names, _numbers(known), strict=False):
            if state < 0:
                self._storage().remove(scope, response_id)
            elif not state:
                await self._give(scope, response_id)

    async def _give(self, scope: str, response_id: str) -> None:
        """Raises StoreError."""
        if stored := self._storage().find(scope, response_id):
            await self._keep(stored)

    # -- names ----------------------------------------------------------------------------------------

    @property
    def _prefix(self) -> str:
        return self._store.prefix

    def _keys(self, scope: str, response_id: str) -> list[str]:
        """As the scripts name them."""
        name, prefix = _joined(scope, response_id), self._prefix
        all_of_them = (f"{prefix}responses:{what}" for what in ("used", "ends", "sizes", "bytes"))
        return [f"{prefix}r:{name}", f"{prefix}gone:{name}", *all_of_them, f"{prefix}r:of:{scope}"]


def _joined(scope: str, response_id: str) -> str:
    return f"{scope}:{response_id}"


def _read(said: bytes, scope: str, response_id: str) -> Stored | None:
    """What is none of ours is as if it were not there."""
    stored = from_mapping(load_object(said) or {}, len(said))
    return stored if stored is not None and (stored.scope, stored.id) == (scope, response_id) else None


def _numbers(answer: Answer) -> Iterable[int]:
    return [each for each in answer if isinstance(each, int)] if isinstance(answer, list) else []
