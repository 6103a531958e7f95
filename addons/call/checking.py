"""Asks providers now and then what credentials have used, where the config wants it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from addons.call.request import with_key
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.oauth.source import TokenSource
from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Started, events
from protocols.model.http import UpstreamRequest, parsed
from protocols.model.wirejson import JsonObject, dump, load_object
from rewrite.catalog.checks import QuotaCheck
from rewrite.catalog.providers import Provider
from rewrite.credentials.checked import INTERVAL
from rewrite.credentials.notices import Notice
from rewrite.oauth.files import Tokens
from rewrite.oauth.kinds import Encoding
from rewrite.oauth.refreshing import lasting_request

LONGEST_ANSWER = 1 << 18
"""Bytes."""
PATIENCE = 30.0
"""Seconds that an answer may take."""

_OK = 200
_SILENT, _NO_TOKEN = "it gives no answer", "there is no token to ask with"
_ELSEWHERE = "its token_url does not end in {path}, so that nobody knows where to ask: take check out"


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a credential has used is not known."""

    why: str
    """For a reader."""


class Checker:
    """Runs while it is started; `notify` gets what a user has to know, `failed` a fault of ours and where it
    was: it ends the checks, until new settings begin them again."""

    def __init__(
        self,
        pool: Pool,
        notify: Callable[[Notice], None],
        failed: Callable[[str, BaseException], None],
        interval: float = INTERVAL,
    ) -> None:
        self._pool, self._notify, self._failed, self._interval = pool, notify, failed, interval
        self._wanted: list[tuple[Configured, QuotaCheck]] = []
        self._upstream: Upstream | None = None
        self._unanswered: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None
        self._runs = False

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Take over new settings, and ask again."""
        self._upstream = upstream
        self._wanted = [
            (one, check)
            for one in settings.providers
            if (check := one.provider.quota_check) and _can_ask(one)
        ]
        if self._runs:
            self.start()

    def start(self) -> None:
        """The event loop runs."""
        self.stop()
        self._runs = True
        if self._wanted:
            self._task = asyncio.get_running_loop().create_task(self._ask_all())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed("asking what keys have used", error)

    def stop(self) -> None:
        self._runs = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ask_all(self) -> None:
        while True:
            for name, check, lease in self._leases():
                await self._ask(name, check, lease)
            await asyncio.sleep(self._interval)

    def _leases(self) -> Iterator[tuple[Configured, QuotaCheck, Lease]]:
        for one, check in self._wanted:
            for each in one.credentials:
                lease = self._pool.lease(one.provider.name, each.name) if each.credential.check else None
                if lease is not None and _tells(check, lease):
                    yield one, check, lease

    async def _ask(self, one: Configured, check: QuotaCheck, lease: Lease) -> None:
        name = one.provider.name
        found: JsonObject | Unknown = Unknown(_SILENT)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                found = await self._asked(one, check, lease)
        if not isinstance(found, Unknown):
            self._pool.checked(name, lease, check.limits, found)
        self._say(name, lease, found.why if isinstance(found, Unknown) else "")

    async def _asked(self, one: Configured, check: QuotaCheck, lease: Lease) -> JsonObject | Unknown:
        assert self._upstream is not None
        request = await self._request(one.provider, check, lease, self._upstream)
        return request if isinstance(request, Unknown) else await self._answer(self._upstream, request)

    async def _answer(self, upstream: Upstream, request: UpstreamRequest) -> JsonObject | Unknown:
        status, body = 0, b""
        coming = events(upstream, request, fresh=False, connect_timeout=PATIENCE)
        async with aclosing(coming):
            async for event in coming:
                match event:
                    case Started(head=head):
                        status = head.status
                    case Data(data=data) if len(body) < LONGEST_ANSWER:
                        body += data
                    case Closed(cause=cause) if cause is not None:
                        status = 0
        if status != _OK:
            return Unknown(f"it answers {status}" if status else _SILENT)
        return load_object(body) or {}

    async def _request(
        self, provider: Provider, check: QuotaCheck, lease: Lease, upstream: Upstream
    ) -> UpstreamRequest | Unknown:
        source, origin, project = lease.source, provider.origin, ""
        if check.token and source is not None:
            return _with_lasting(source, check.path)
        if origin is None:
            return Unknown("its provider has no base_url")
        if source is not None:
            tokens = source.at_once() or await source.renewed(upstream)
            if not isinstance(tokens, Tokens):
                return Unknown(_NO_TOKEN)
            lease = lease.with_tokens(tokens)
            project = await source.project(upstream, origin, tokens) if check.needs_project else ""
        body, path = check.body_for(project), origin.under(check.path.encode())
        headers = with_key((("accept", "application/json"),), provider, lease)
        if body is None:
            return UpstreamRequest(origin, "GET", path, headers, b"")
        headers = (*headers, ("content-type", "application/json"))
        return UpstreamRequest(origin, "POST", path, headers, dump(body))

    def _say(self, provider: str, lease: Lease, why: str) -> None:
        """Once, until an answer comes again: no `why`."""
        who = provider, lease.name
        if not why:
            self._unanswered.discard(who)
        elif who not in self._unanswered:
            self._unanswered.add(who)
            self._notify(
                Notice(f"{provider}/{lease.name}: check: what it has used is not known: {why}", True)
            )


def _with_lasting(source: TokenSource, path: str) -> UpstreamRequest | Unknown:
    login, held = source.login, source.held()
    if held is None or not held.refresh:
        return Unknown(_NO_TOKEN)
    found = lasting_request(login.kind, login.client, held, path)
    return found or Unknown(_ELSEWHERE.format(path=parsed(login.kind.token_url).prefix))


def _can_ask(one: Configured) -> bool:
    """Whether any of its keys is to be asked about. One that signs is not sent as it is."""
    return not one.signs and any(each.credential.check for each in one.credentials)


def _tells(check: QuotaCheck, lease: Lease) -> bool:
    """Whether it tells what such a credential has used. A long-lived token is sent only where it is exchanged
    in the same way."""
    if check.token:
        return lease.source is not None and lease.source.login.kind.encoding is Encoding.GET
    return lease.source is not None or not check.logins_only
