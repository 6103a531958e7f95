"""The token of one login: refreshed once however many calls want it, and never against its tool.

The file is the truth. It is read again when it changes, and before each refresh: what the tool has refreshed
meanwhile is used as it is. What another proxy has refreshed is written into the file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from addons.config.watch import Signature, signature
from addons.oauth.asking import asked
from addons.oauth.lock import Busy, locked
from addons.oauth.shared import Answered, OtherKey, Unshared
from addons.secrets.logins import LOOK_INTERVAL, LOOKS, Login, replace_text, text_of
from addons.secrets.redaction import Blackout
from addons.upstream.client import Upstream
from protocols.model.http import Origin, WireResponse
from protocols.model.wirejson import JsonObject, text_at
from rewrite.oauth.files import Tokens, Unreadable, refreshed, tokens_in
from rewrite.oauth.kinds import Encoding
from rewrite.oauth.projects import project_in, project_request
from rewrite.oauth.refreshing import (
    LONGEST_MESSAGE,
    Dead,
    Failed,
    Refreshed,
    refresh_request,
    renewal,
    short_token,
)

LOCK_WAIT = 45.0
"""Seconds that the lock of another process is waited for."""

GOODBYE = 10.0
"""Seconds that the end of the proxy waits for a refresh."""

SHORT_WAIT = 5.0
"""Seconds that a call waits for a refresh while the token before is of use."""

MOST_STEPS = 1000
"""How many refreshes of other proxies are followed at once."""

PATIENCE = 60.0
"""Seconds after a failure in which no other refresh is asked for, unless the endpoint says how long; and
after a success, unless the new token is refused."""


type Outcome = Tokens | Dead | Failed


@dataclass(frozen=True, slots=True)
class Failure:
    """A refresh that came to nothing, while it is not repeated."""

    outcome: Dead | Failed
    until: float
    """In epoch seconds."""
    file: Signature
    """What the file was then."""


class TokenSource:
    """One login.

    `wall` gives epoch seconds. `turn` is shared by all logins of one vendor, whose refreshes it lets in one
    by one; `shared` does that for all proxies, and knows what came of a refresh token at another.
    `on_renewal` is called with the tokens that there are now and those that were before, where they differ;
    `warn` with what a person has to know.
    """

    def __init__(
        self,
        login: Login,
        wall: Callable[[], float],
        turn: asyncio.Lock,
        on_renewal: Callable[[Sequence[SecretStr], Sequence[SecretStr]], None],
        warn: Callable[[str], None],
        shared: Unshared | None = None,
    ) -> None:
        self.login, self._shared = login, shared or Unshared()
        self._wall, self._turn, self._on_renewal, self._warn = wall, turn, on_renewal, warn
        self._tokens: Tokens | None = None
        self._seen: Signature = None
        self._failure: Failure | None = None
        self._latest, self._latest_until = "", 0.0
        self._project, self._project_again = "", 0.0
        self._unwritten = "", ""  # the refresh token that was used, and the file that its answer made
        self._flight: asyncio.Task[Outcome] | None = None

    @property
    def token(self) -> SecretStr:
        """The token as it is known, whether it is due or not."""
        return SecretStr(self._tokens.access if self._tokens else "")

    @property
    def secrets(self) -> list[SecretStr]:
        """All that is known of its tokens."""
        return [*_secrets(self._tokens), *filter(None, [SecretStr(self.login.client.client_secret)])]

    def look(self) -> bool:
        """Read the file if it changed; whether it holds another token now."""
        now = signature(self.login.file)
        if now == self._seen:
            return False
        try:
            found = self._exchanged(tokens_in(text_of(self.login.file), self.login.kind))
        except Unreadable:
            return False  # it may be half written, and is read again
        self._seen = now
        return self._adopt(found)

    def at_once(self) -> Tokens | None:
        """The token, if it may be used without another word."""
        self.look()
        tokens = self._tokens
        return None if tokens is None or self._is_due(tokens) else tokens

    def held(self) -> Tokens | None:
        """What its file holds, whether it is due or not."""
        self.look()
        return self._tokens

    def _is_due(self, tokens: Tokens) -> bool:
        """Not right after it was refreshed: some last for seconds only, as their endpoint has it."""
        now = self._wall()
        return tokens.is_due(now) and not (tokens.access == self._latest and now < self._latest_until)

    async def renewed(self, upstream: Upstream, refused: str = "") -> Outcome:
        """Another token than `refused`, or in the place of one that is due.

        Who does not wait any longer does not end a refresh: its token is in use by then.
        """
        while True:
            is_other = self._flight is not None
            if self._flight is None:
                if standing := self._standing(refused):
                    return standing
                self._flight = asyncio.get_running_loop().create_task(self._renew(upstream, refused))
                self._flight.add_done_callback(self._landed)
            flight = self._flight
            if not refused and (old := self._lasting()) is not None:
                await asyncio.wait([flight], timeout=SHORT_WAIT)
                if not flight.done():
                    return old
            found = await asyncio.shield(flight)
            if not (is_other and isinstance(found, Tokens) and found.access == refused):
                return found

    def _lasting(self) -> Tokens | None:
        """The token that is due, while it is of use."""
        tokens = self._tokens
        return None if tokens is None or tokens.is_over(self._wall() + SHORT_WAIT) else tokens

    def needs_project(self) -> bool:
        """Whether it is not known which project its calls are for, though they have to say."""
        return self.login.kind.has_project and not self._project and self._wall() >= self._project_again

    @property
    def known_project(self) -> str:
        """The project, as far as it is known."""
        return self._project

    async def project(self, upstream: Upstream, origin: Origin, tokens: Tokens) -> str:
        """The project that calls of the login are for, as its provider says; empty: it names none."""
        if self.needs_project():
            self._project_again = self._wall() + PATIENCE
            answer = await asked(upstream, project_request(origin, tokens.access))
            self._project = project_in(answer) if isinstance(answer, WireResponse) else ""
        return self._project

    async def close(self) -> None:
        """Wait for a refresh that is under way, for some seconds."""
        if self._flight is not None:
            await asyncio.wait([self._flight], timeout=GOODBYE)

    async def follow(self) -> None:
        """Take over what other proxies have refreshed, and write it into the file."""
        if not self._writes:
            return  # another exchange of a token that lasts harms nobody
        found = await self._locked(self._caught_up)
        if isinstance(found, Tokens):
            self._failure = None
            self._adopt(found)

    def has_used(self, mark: str) -> bool:
        """Whether its refresh token is the one that `mark` stands for in the store."""
        return self._tokens is not None and self._shared.mark(self._tokens.refresh) == mark

    def forgive(self) -> None:
        """Forget that a refresh failed."""
        self._failure = None

    def _landed(self, flight: asyncio.Task[Outcome]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # those who wait have it

    def _standing(self, refused: str) -> Outcome | None:
        """What is known without a word to anybody."""
        tokens = self.at_once()
        if tokens is not None and tokens.access != refused:
            return tokens
        failure = self._failure
        if failure is None or self._wall() >= failure.until or signature(self.login.file) != failure.file:
            return None
        return self._if_need_be(failure.outcome, refused)

    def _if_need_be(self, outcome: Dead | Failed, refused: str) -> Outcome:
        """The old token, where that is not over and its login is not either."""
        tokens = self._tokens
        if tokens is None or isinstance(outcome, Dead) or tokens.is_over(self._wall()):
            return outcome
        return outcome if tokens.access == refused else tokens

    async def _renew(self, upstream: Upstream, refused: str) -> Outcome:
        alone = self._shared.locked(self.login.client.token_url, LOCK_WAIT)
        outcome = await self._locked(partial(self._alone, upstream, refused), alone)
        if isinstance(outcome, Tokens):
            self._failure = None
            self._latest, self._latest_until = outcome.access, self._wall() + PATIENCE
            self._adopt(outcome)
            return outcome
        wait = PATIENCE if isinstance(outcome, Dead) else max(outcome.retry_after or 0.0, PATIENCE)
        self._failure = Failure(outcome, self._wall() + wait, signature(self.login.file))
        return self._if_need_be(outcome, refused)

    async def _locked(
        self,
        work: Callable[[], Awaitable[Outcome]],
        *others: AbstractAsyncContextManager[None],
    ) -> Outcome:
        """What comes of `work`, which nobody else is at; after that `others` are entered."""
        try:
            async with AsyncExitStack() as held:
                await held.enter_async_context(self._turn)
                for other in others:
                    await held.enter_async_context(other)
                if self._writes:
                    await held.enter_async_context(locked(self._lock_folder, LOCK_WAIT))
                return await work()
        except Busy as error:
            return Failed(str(error) or "another process holds the lock of its file")
        except OtherKey as error:
            return Failed(str(error))
        except Unreadable as error:
            return Failed(f"its file, or what another proxy made of it, {error}")
        except OSError as error:
            return Failed(f"its file cannot be locked or written ({error.strerror})")

    @property
    def _writes(self) -> bool:
        return self.login.kind.encoding is not Encoding.GET

    @property
    def _lock_folder(self) -> Path:
        file = self.login.file
        return file.with_name(self.login.kind.lock or f".{file.name}.rotator_lock")

    async def _alone(self, upstream: Upstream, refused: str) -> Outcome:
        found = await self._read()
        if isinstance(found, Dead):
            return found
        text, tokens = await self._followed(*found, refused)
        if tokens.access != refused and (not self._is_due(tokens) or self._makes_do(tokens)):
            return tokens
        if not tokens.refresh:
            return Dead("its file has no refresh token")
        kind = self.login.kind
        if kind.single_use and self._shared.leaves_to_others:
            return Failed("the store is away, and another proxy may use up its refresh token")
        answer = await asked(upstream, refresh_request(kind, self.login.client, tokens))
        outcome = renewal(kind, answer, self._wall()) if isinstance(answer, WireResponse) else answer
        match outcome:
            case Refreshed(answer=new):
                used_up = text_at(new, "refresh_token") not in ("", tokens.refresh)
                await self._shared.keep(tokens.refresh, new, used_up=used_up)
                if self._writes:
                    return await self._written(text, tokens, new)
                return short_token(tokens, new, self._wall())
            case Dead():
                return await self._others(tokens) or self._without_secrets(outcome, tokens)
            case Failed():
                return self._without_secrets(outcome, tokens)

    def _without_secrets[T: (Dead, Failed)](self, outcome: T, tokens: Tokens) -> T:
        """What an endpoint says goes to clients, and may repeat what it was asked with."""
        hidden = Blackout([*_secrets(tokens), *self.secrets])
        message = hidden.text(outcome.message)
        if len(message) >= LONGEST_MESSAGE:  # it was cut, perhaps inside a token
            message = hidden.feed(message.encode("utf-8", "replace")).decode("utf-8", "replace")
        return replace(outcome, message=message)

    def _makes_do(self, tokens: Tokens) -> bool:
        """Whether a token that is due is used on: while nobody knows what other proxies do, another refresh
        could use up what one of them has used."""
        return self._shared.is_away and not tokens.is_over(self._wall() + PATIENCE)

    async def _caught_up(self) -> Tokens | Dead:
        """What is in the file, or came of that at other proxies."""
        found = await self._read()
        return found if isinstance(found, Dead) else (await self._followed(*found))[1]

    async def _followed(self, text: str, tokens: Tokens, refused: str = "") -> tuple[str, Tokens]:
        """The login as other proxies have refreshed it since, and a file of it, which is written. Raises
        OtherKey."""
        first = text, tokens
        for _ in range(MOST_STEPS):
            answered = await self._shared.found(tokens.refresh)
            later = self._after(text, tokens, answered) if answered else None
            if later is None or not _is_newer(later[1], tokens, refused):
                break
            text, tokens = later
        if text != first[0]:
            await self._put(first[1], text)
        return text, tokens

    def _after(self, text: str, tokens: Tokens, answered: Answered) -> tuple[str, Tokens]:
        """The login after a refresh."""
        at = self._wall() - answered.age
        if not self._writes:
            return text, short_token(tokens, answered.answer, at)
        text = refreshed(text, self.login.kind, answered.answer, at)
        return text, tokens_in(text, self.login.kind)

    async def _others(self, used: Tokens) -> Tokens | None:
        """What the tool has put into the file since it was read, though it holds no lock; or another proxy,
        while none could know of the others."""
        found = await self._caught_up()
        return found if isinstance(found, Tokens) and found.access not in ("", used.access) else None

    async def _written(self, text: str, used: Tokens, answer: JsonObject) -> Tokens:
        """The new tokens, in the file. A login that was replaced meanwhile is not written over."""
        now = await self._read()
        if not isinstance(now, Dead):
            text, found = now
            if found.refresh != used.refresh:
                return found
        new = refreshed(text, self.login.kind, answer, self._wall())
        await self._put(used, new)
        return tokens_in(new, self.login.kind)

    async def _put(self, used: Tokens, text: str) -> None:
        """Make `text` of the file of a login whose refresh token is used up."""
        try:
            await asyncio.to_thread(replace_text, self.login.file, text)
        except OSError as error:
            self._unwritten = used.refresh, text
            self._warn(f"the new token could not be written to {self.login.file} ({error.strerror})")

    async def _read(self) -> tuple[str, Tokens] | Dead:
        """The file, and what it holds. Some tools write it in place, so that half of it may be there."""
        for left in reversed(range(LOOKS)):
            try:
                return self._whole(text_of(self.login.file))
            except Unreadable as error:
                if not (error.half and left):
                    return Dead(f"its file {error}")
                await asyncio.sleep(LOOK_INTERVAL)
        raise AssertionError("the last look returned")

    def _whole(self, text: str) -> tuple[str, Tokens]:
        """What a file of `text` would hold if all could have been written: a refresh token that was used is
        of no more use. Raises Unreadable."""
        tokens, (used, new) = tokens_in(text, self.login.kind), self._unwritten
        return (new, tokens_in(new, self.login.kind)) if new and tokens.refresh == used else (text, tokens)

    def _adopt(self, found: Tokens) -> bool:
        """Use it; whether it is another token than before."""
        former, self._tokens = self._tokens, found
        if former is not None and former.access == found.access:
            return False
        if former is None or former.refresh != found.refresh:  # it may be another account
            self._project, self._project_again = "", 0.0
        self._on_renewal(_secrets(found), _secrets(former))
        return True

    def _exchanged(self, found: Tokens) -> Tokens:
        """What a file says of a token that is exchanged, with the short one that is in use."""
        if self._writes or self._tokens is None or self._tokens.refresh != found.refresh:
            return found
        return self._tokens


def _is_newer(one: Tokens, other: Tokens, refused: str) -> bool:
    """Whether `one`, which came of the refresh token of `other`, is to take its place."""
    if one.refresh != other.refresh:
        return True
    lasts_longer = (one.expires_at or 0.0) > (other.expires_at or 0.0)
    return one.access not in (other.access, refused) and (lasts_longer or other.access == refused)


def _secrets(tokens: Tokens | None) -> list[SecretStr]:
    return [SecretStr(each) for each in (tokens.access, tokens.refresh) if each] if tokens else []
