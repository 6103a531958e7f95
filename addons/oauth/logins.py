"""All logins that the config names, each with its token."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from addons.oauth.shared import Unshared
from addons.oauth.source import TokenSource
from addons.secrets.logins import Login

type Secrets = Sequence[SecretStr]
type Hide = Callable[[Secrets, Secrets], None]
"""Gets tokens that are never to be shown, and those in whose place they are."""

type Who = tuple[str, str]
"""The names of a provider and of a credential of its pool."""


class Logins:
    """Sources of tokens. `wall` gives epoch seconds; `shared` knows those of other proxies."""

    def __init__(
        self, wall: Callable[[], float], hide: Hide | None = None, shared: Unshared | None = None
    ) -> None:
        self._wall, self._hide = wall, hide
        self._shared = shared or Unshared()
        self._shared.follow(self._changed)
        self._following: set[asyncio.Task[None]] = set()
        self._sources: dict[Who, TokenSource] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._on_renewal: Callable[[Who], None] = _to_nobody
        self._warn: Callable[[str], None] = _to_nobody

    def follow(self, on_renewal: Callable[[Who], None], warn: Callable[[str], None]) -> None:
        """`on_renewal` is called when a login has another token, `warn` with what a person has to know."""
        self._on_renewal, self._warn = on_renewal, warn

    def configure(self, wanted: Mapping[Who, Login]) -> None:
        """Those of new settings. One that is as it was keeps its token."""
        self._sources = {who: self._kept(who, login) for who, login in wanted.items()}

    def _kept(self, who: Who, login: Login) -> TokenSource:
        old = self._sources.get(who)
        if old is not None and old.login == login:
            return old
        name = "/".join(who)
        turn = self._turns[login.client.token_url]
        warn = self._warn
        source = TokenSource(
            login,
            self._wall,
            turn,
            partial(self._renewed, who),
            lambda text: warn(f"{name}: {text}"),
            self._shared,
        )
        source.look()
        return source

    def _renewed(self, who: Who, now: Secrets, former: Secrets) -> None:
        if self._hide is not None:
            self._hide(now, former)
        self._on_renewal(who)

    def source(self, who: Who) -> TokenSource | None:
        """None: it is no login."""
        return self._sources.get(who)

    def secrets(self) -> list[SecretStr]:
        """All tokens that are known."""
        return [secret for source in self._sources.values() for secret in source.secrets]

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that tools may change."""
        return tuple(source.login.file for source in self._sources.values())

    async def look(self) -> None:
        """Some of the files may have changed."""
        for source in self._sources.values():
            source.look()

    def _changed(self, mark: str) -> None:
        """Another proxy has refreshed one of them: that of `mark`, or any."""
        for source in self._sources.values():
            if not mark or source.has_used(mark):
                following = asyncio.get_running_loop().create_task(source.follow())
                self._following.add(following)
                following.add_done_callback(self._following.discard)

    def forgive(self, who: Who) -> None:
        """Let its token be refreshed again at once, though that failed."""
        if source := self._sources.get(who):
            source.forgive()

    async def close(self) -> None:
        """Wait for what is under way: a refresh token is used up when its answer comes."""
        await asyncio.gather(*(source.close() for source in self._sources.values()))
        for following in self._following:
            following.cancel()


def _to_nobody(_: object) -> None:
    """Until somebody follows."""
