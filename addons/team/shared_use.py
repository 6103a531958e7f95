"""What users used at other proxies today, by way of the store.

Each proxy writes what it counted itself, as a whole and with a version: what is written twice, or comes late,
counts once. The sum over all proxies is what a user used.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import ceil
from typing import Any, NamedTuple

from addons.runtime.clock import Later, by_the_loop
from addons.store.connection import Connection
from addons.store.line import Answer, Argument
from addons.store.roster import Roster
from addons.store.script import script
from rewrite.credentials.packed import is_number
from rewrite.policies.user_caps import DAY, Caps, Use, day_of

TOPIC = "use"
"""Of the messages by which others learn what a proxy counted."""

_COUNT = script("user")
_SAID = re.compile(rb"(\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,18}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?)")
_UNLIMITED = 1e300
_KEPT = 2 * DAY
"""Seconds from the beginning of a day for which it is kept."""


class Counted(NamedTuple):
    """What one proxy counted of one user."""

    version: int
    """A later one is greater."""
    use: Use


GATHER = 1.0
"""Seconds after which the others know at the latest what was used here."""


class SharedUse:
    """Knows nothing where no store is configured."""

    def __init__(
        self,
        connection: Connection,
        roster: Roster,
        clock: Callable[[], float],
        later: Later = by_the_loop,
    ) -> None:
        """`clock` is the pool's."""
        self._connection, self._roster, self._clock, self._later = connection, roster, clock, later
        self._users: Callable[[], Iterable[str]] = tuple
        self._own: Callable[[str], Use] = lambda _: Use()
        self._changed: set[str] = set()
        self._day, self._version = "", 0
        self._others: dict[str, dict[str, Counted]] = {}  # by user and proxy
        self._when_lost: dict[str, Use] = {}
        self._written: dict[str, Use | None] = {}  # None: nobody knows whether it was

    def begin(self, users: Callable[[], Iterable[str]], own: Callable[[str], Use]) -> None:
        """Once: `users` are those with caps, `own` is what one of them used here today."""
        self._users, self._own = users, own
        self._connection.subscribe(TOPIC, self._heard)
        self._connection.on_up(self._register)
        self._connection.on_down(self._lost)

    @property
    def is_known(self) -> bool:
        """Whether the store ever said what was used."""
        return self._connection.was_up and self._connection.is_configured

    def used(self, user: str, own: Use) -> Use:
        """What `user` used elsewhere today. While the store is lost, each of the others is taken to use as
        much as this proxy does, of `own`."""
        self._today()
        known = sum((each.use for each in self._others.get(user, {}).values()), Use())
        if self._connection.is_up or not self.is_known:
            return known
        return known + own.since(self._when_lost.get(user, Use())).times(self._roster.peers - 1)

    async def admits(self, user: str, own: Use, caps: Caps) -> bool | None:
        """Whether all proxies together leave `user` as much as `own`, the next request included. None: nobody
        says so in time."""
        if not self._connection.is_up:
            return None
        found: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        args = self._args(
            user, own, [min(limit, _UNLIMITED) for limit in (caps.requests, caps.tokens, caps.cost)]
        )

        def answered(answer: Answer) -> None:
            if not found.done():
                found.set_result(answer)

        self._connection.ask(_COUNT, [self._key(user)], args, answered, late=partial(self._take, user))
        answer = await found
        if answer is None:
            self._written[user] = None
            return None
        self._take(user, answer)
        if not _allows(answer):
            return False
        self._written[user] = own
        return True

    def note(self, user: str) -> None:
        """What `user` used here may have changed."""
        if self._connection.is_up:
            if not self._changed:
                self._later(GATHER, self.flush)
            self._changed.add(user)

    def flush(self) -> None:
        """Write what has changed."""
        changed, self._changed = self._changed, set()
        for user in changed:
            own = self._own(user)
            if self._connection.is_up and self._written.get(user, Use()) != own:
                args = self._args(user, own)
                self._written[user] = own
                self._connection.ask(_COUNT, [self._key(user)], args, partial(self._flushed, user))

    def _flushed(self, user: str, answer: Answer) -> None:
        if answer is None:
            self._written[user] = None
            self.note(user)
        else:
            self._take(user, answer)

    # -- what comes ---------------------------------------------------------------------------------------

    async def _register(self) -> None:
        own = [(user, self._own(user)) for user in self._users()]
        self._when_lost.clear()
        asked = (self._connection.call(_COUNT, [self._key(user)], self._args(user, use)) for user, use in own)
        for (user, _), answer in zip(own, await asyncio.gather(*asked), strict=True):
            self._take(user, answer)
        self._written = dict(own)

    def _lost(self) -> None:
        self._changed.clear()
        self._when_lost = {user: self._own(user) for user in self._users()}

    def _heard(self, body: Any) -> None:
        match body:
            case [str(proxy), str(day), str(user), int(version), *amounts] if day == self._today():
                match amounts:
                    case [int(requests), int(tokens), cost] if all(map(is_number, amounts)):
                        self._learn(user, proxy, Counted(version, Use(requests, tokens, float(cost))))

    def _take(self, user: str, answer: Answer) -> None:
        match answer:
            case [int(), [*found]]:
                for proxy, counted in _counted(found):
                    if proxy != self._connection.proxy:
                        self._learn(user, proxy, counted)

    def _learn(self, user: str, proxy: str, counted: Counted) -> None:
        """Messages and answers may overtake each other."""
        known = self._others.setdefault(user, {})
        if proxy not in known or known[proxy].version < counted.version:
            known[proxy] = counted

    # -- what goes ----------------------------------------------------------------------------------------

    def _today(self) -> str:
        """The day; what was known of another one is forgotten."""
        day = day_of(self._clock())
        if day != self._day:
            self._day = day
            for each in (self._others, self._when_lost, self._written):
                each.clear()
        return day

    def _key(self, user: str) -> str:
        return f"{self._connection.prefix}t:{self._today()}:user:{user}"

    def _args(self, user: str, own: Use, most: Sequence[float] = ()) -> list[Argument]:
        """`most`: what is allowed, if that is asked. Else the others hear what is written."""
        self._version += 1
        is_new = own != Use() or user in self._written
        now, connection = self._clock(), self._connection
        amounts = [own.requests, own.tokens, own.cost]
        body = [connection.proxy, self._today(), user, self._version, *amounts]
        said = ("", "") if most else (connection.channel, connection.message(TOPIC, body))
        return [
            connection.proxy,
            self._version if is_new else 0,
            own.requests,
            own.tokens,
            repr(float(own.cost)),
            ceil(now - now % DAY + _KEPT),
            *([repr(float(limit)) for limit in most] or ("", "", "")),
            *said,
        ]


def _allows(answer: Answer) -> bool:
    return not (isinstance(answer, list) and answer[:1] == [0])


def _counted(found: Sequence[Answer]) -> Iterator[tuple[str, Counted]]:
    """By proxy; what is none of ours is left out."""
    for proxy, said in zip(found[::2], found[1::2], strict=False):
        if isinstance(proxy, bytes) and isinstance(said, bytes) and (parts := _SAID.fullmatch(said)):
            version, requests, tokens = map(int, parts.groups()[:3])
            yield proxy.decode("utf-8", "replace"), Counted(version, Use(requests, tokens, float(parts[4])))
