"""An attempt on a login: asked with a token that lasts, and once more with another where that is refused.

Nothing of it is seen by who gets what comes: to them it is one attempt, whose beginning takes a little. Where
there is no token, they get what a provider would say that does not know the token.
"""

import asyncio
from typing import Protocol, Self

from addons.credentials.lease import Lease
from addons.oauth.source import TokenSource
from addons.upstream.client import Attempt, Receiver, Upstream
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.errors import Fault
from protocols.model.http import Head, Origin
from protocols.model.parts import ErrorKind
from rewrite.oauth.files import Tokens
from rewrite.oauth.refreshing import Dead, Failed

REFUSED = 401
"""The status of a token that does not hold any more."""

LONGEST_REFUSAL = 1 << 16
"""Bytes of a refusal that are kept while there may be another token."""


class Ask(Protocol):
    """Asks the provider on a lease."""

    def __call__(self, lease: Lease, receiver: Receiver) -> Attempt | None: ...


class Renewed(Receiver, Protocol):
    """Who gets what comes of an attempt that may not be made."""

    def renewed(self, head: Head, body: bytes) -> None:
        """The token was refused, by this answer, and there is another: the attempt is asked again."""

    def refused(self, fault: Fault) -> None:
        """There is no token to ask with: the end, in the place of all else."""

    def broken(self, error: BaseException) -> None:
        """A fault of ours: the end, in the place of all else."""


class Renewing:
    """One attempt; both what is held by who began it, and the receiver of what it comes to."""

    def __init__(
        self,
        lease: Lease,
        source: TokenSource,
        upstream: Upstream,
        origin: Origin,
        ask: Ask,
        receiver: Renewed,
    ) -> None:
        """`source`: that of `lease`; `upstream`: the way to who refreshes its tokens; `origin`: where the
        provider is."""
        self._lease, self._source = lease, source
        self._upstream, self._origin = upstream, origin
        self._ask, self._receiver = ask, receiver
        self._attempt: Attempt | None = None
        self._task: asyncio.Task[None] | None = None
        self._refused: tuple[Head, Reached] | None = None
        self._body = bytearray()
        self._is_second = self._was_sent = False

    def begin(self) -> Self:
        """Ask, as soon as there is a token."""
        tokens = self._source.at_once()
        if tokens is None or self._source.needs_project():
            self._renew("")
        else:
            self._open(tokens, self._source.known_project)
        return self

    # -- as an attempt --------------------------------------------------------------------------------

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._attempt is not None:
            self._attempt.cancel()

    def pause(self) -> None:
        if self._attempt is not None:
            self._attempt.pause()

    def resume(self) -> None:
        if self._attempt is not None:
            self._attempt.resume()

    # -- as a receiver --------------------------------------------------------------------------------

    def sent(self) -> None:
        if not self._was_sent:
            self._was_sent = True
            self._receiver.sent()

    def started(self, head: Head, reached: Reached) -> None:
        if head.status == REFUSED and not self._is_second:
            self._refused = head, reached
        else:
            self._receiver.started(head, reached)

    def received(self, data: bytes) -> None:
        if self._refused is None:
            self._receiver.received(data)
            return
        self._body += data
        if len(self._body) > LONGEST_REFUSAL:
            self._pass_refusal()

    def closed(self, cause: Cause | None) -> None:
        if self._refused is not None and cause is None:
            self._renew(self._lease.secret.get_secret_value())
            return
        self._pass_refusal()
        self._receiver.closed(cause)

    # -- tokens ---------------------------------------------------------------------------------------

    def _open(self, tokens: Tokens, project: str) -> None:
        self._lease = self._lease.with_tokens(tokens, project)
        self._attempt = self._ask(self._lease, self)

    def _renew(self, refused: str) -> None:
        self._attempt = None
        self._task = asyncio.get_running_loop().create_task(self._renewed(refused))
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._receiver.broken(error)

    async def _renewed(self, refused: str) -> None:
        self._is_second = bool(refused)
        match await self._source.renewed(self._upstream, refused):
            case Tokens() as tokens:
                project = await self._source.project(self._upstream, self._origin, tokens)
                self._drop_refusal()
                self._open(tokens, project)
            case Dead() | Failed() if self._refused is not None:
                self._pass_refusal()
                self._receiver.closed(None)
            case Dead(message=message):
                login = self._source.login.kind.login
                text = f"the login has ended ({message}): {login}"
                self._receiver.refused(Fault(REFUSED, ErrorKind.AUTHENTICATION, text))
            case Failed(message=message, retry_after=wait):
                text = f"the login could not be renewed ({message})"
                self._receiver.refused(Fault(503, ErrorKind.SERVER, text, wait))

    def _drop_refusal(self) -> None:
        """There is another token: what was kept goes to nobody."""
        if self._refused is not None:
            self._receiver.renewed(self._refused[0], bytes(self._body))
            self._refused = None
            self._body.clear()

    def _pass_refusal(self) -> None:
        """There is no other token: what was kept goes out."""
        if self._refused is None:
            return
        head, reached = self._refused
        self._refused = None
        self._receiver.started(head, reached)
        if self._body:
            self._receiver.received(bytes(self._body))
            self._body.clear()
