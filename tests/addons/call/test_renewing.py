"""One attempt on a login, over real connections: what its receiver sees, and what is asked."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.call.renewing import LONGEST_REFUSAL, Renewing
from addons.credentials.lease import Lease
from addons.upstream.client import Attempt, Receiver, Upstream
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from protocols.model.errors import Fault
from protocols.model.http import Head, Origin, UpstreamRequest, parsed
from tests.addons.oauth.places import DEAD, LATE, PATH, Place, after, granted
from tests.rewrite.oauth.logins import CLAUDE, EXPIRES, claude_file
from tests.vendor import Fin, Framing, Hang, Reply, Send, Vendor, WaitFor, whole

CALL = "/call"
OLD = "sk-ant-oat01-old"
NO = whole(b'{"error": "expired"}', 401)


@dataclass
class Seen:
    """What a driver would get."""

    events: list[str] = field(default_factory=list)
    body: bytes = b""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def sent(self) -> None:
        self.events.append("sent")

    def started(self, head: Head, reached: Reached) -> None:
        assert reached.peer
        self.events.append(f"started {head.status}")

    def received(self, data: bytes) -> None:
        self.body += data

    def closed(self, cause: Cause | None) -> None:
        self.events.append(f"closed {cause.kind}" if cause else "closed")
        self.over.set()

    def renewed(self, head: Head, body: bytes) -> None:
        self.events.append(f"renewed {head.status} {body.decode()}")

    def refused(self, fault: Fault) -> None:
        self.events.append(f"refused {fault.status} {fault.message}")
        self.over.set()

    def broken(self, error: BaseException) -> None:
        self.events.append(f"broken {error}")
        self.over.set()


@pytest.fixture
def place(tmp_path: Path, vendor: Vendor) -> Place:
    place = Place(tmp_path, CLAUDE, vendor, now=LATE - 3600)
    place.write(claude_file())
    return place


class Asking:
    """One attempt, and what came of it."""

    def __init__(self, place: Place, upstream: Upstream) -> None:
        self.seen, self.leases = Seen(), list[str]()
        self._upstream, source = upstream, place.source()
        lease = Lease("one", SecretStr(""), source=source)
        self.origin = parsed(place.vendor.base_url)
        self.attempt = Renewing(lease, source, upstream, self.origin, self._ask, self.seen)

    def _ask(self, lease: Lease, receiver: Receiver) -> Attempt:
        token = lease.secret.get_secret_value()
        self.leases.append(token)
        request = asked(self.origin, token)
        return self._upstream.open(request, receiver, fresh=False, connect_timeout=5)

    async def over(self) -> list[str]:
        """What its receiver got, in order."""
        self.attempt.begin()
        async with asyncio.timeout(10):
            await self.seen.over.wait()
        return self.seen.events


def asked(origin: Origin, token: str) -> UpstreamRequest:
    headers = (("host", origin.authority), ("authorization", f"Bearer {token}"))
    return UpstreamRequest(origin, "POST", CALL.encode(), headers, b"body")


async def test_a_token_that_lasts_is_all_it_takes(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=CALL).reply(whole(b"good"))
    asking = Asking(place, upstream)
    assert await asking.over() == ["sent", "started 200", "closed"]
    assert (asking.leases, asking.seen.body) == ([OLD], b"good")


async def test_a_token_that_is_due_is_refreshed_first(place: Place, upstream: Upstream) -> None:
    place.now = LATE
    place.vendor.on(path=PATH).reply(granted())
    place.vendor.on(path=CALL).reply(whole(b"good"))
    asking = Asking(place, upstream)
    assert await asking.over() == ["sent", "started 200", "closed"]
    assert asking.leases == ["new-access"]


async def test_a_refusal_is_seen_by_nobody_where_there_is_another_token(
    place: Place, upstream: Upstream
) -> None:
    place.vendor.on(path=PATH).reply(granted())
    place.vendor.on(key=OLD).reply(NO)
    place.vendor.on(key="new-access").reply(whole(b"good"))
    asking = Asking(place, upstream)
    refused = 'renewed 401 {"error": "expired"}'
    assert await asking.over() == ["sent", refused, "started 200", "closed"]
    assert (asking.leases, asking.seen.body) == ([OLD, "new-access"], b"good")


async def test_a_second_refusal_is_an_answer(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=PATH).reply(granted())
    place.vendor.on(path=CALL).always(NO)
    asking = Asking(place, upstream)
    refused = 'renewed 401 {"error": "expired"}'
    assert await asking.over() == ["sent", refused, "started 401", "closed"]
    assert (len(asking.leases), asking.seen.body) == (2, b'{"error": "expired"}')


@pytest.mark.parametrize("refresh", [DEAD, whole(b"{}", 500)])
async def test_a_refusal_is_the_answer_where_there_is_no_other_token(
    place: Place, upstream: Upstream, refresh: Reply
) -> None:
    place.vendor.on(path=PATH).reply(refresh)
    place.vendor.on(path=CALL).reply(NO)
    asking = Asking(place, upstream)
    assert await asking.over() == ["sent", "started 401", "closed"]
    assert asking.seen.body == b'{"error": "expired"}'


async def test_a_refusal_that_is_too_long_to_keep_is_the_answer(place: Place, upstream: Upstream) -> None:
    long = bytes(LONGEST_REFUSAL + 1)
    place.vendor.on(path=CALL).reply(whole(long, 401))
    asking = Asking(place, upstream)
    assert await asking.over() == ["sent", "started 401", "closed"]
    assert asking.seen.body == long
    assert len(place.vendor.requests) == 1


async def test_a_refusal_that_breaks_off_is_the_answer(place: Place, upstream: Upstream) -> None:
    steps = (Send(b"{"), Fin())
    place.vendor.on(path=CALL).reply(Reply(401, (), steps, Framing.LENGTH, length=20))
    asking = Asking(place, upstream)
    assert await asking.over() == ["sent", "started 401", "closed incomplete"]
    assert asking.seen.body == b"{"


async def test_without_a_token_nobody_is_asked(place: Place, upstream: Upstream) -> None:
    place.now = EXPIRES + 1
    place.vendor.on(path=PATH).reply(DEAD)
    asking = Asking(place, upstream)
    (event,) = await asking.over()
    assert event == "refused 401 the login has ended (400 invalid_grant: gone): run claude and type /login"
    place.vendor.on(path=PATH).reply(whole(b"{}", 503))
    place.write(claude_file("another", "another"))
    (event,) = await Asking(place, upstream).over()
    assert event == "refused 503 the login could not be renewed (503)"


async def test_who_leaves_while_a_token_is_refreshed_asks_nobody(place: Place, upstream: Upstream) -> None:
    place.now = LATE
    place.vendor.on(path=PATH).reply(granted("new-access", "new-refresh", 28800, WaitFor("late")))
    asking = Asking(place, upstream)
    asking.attempt.begin()
    await place.vendor.wait_gate("late")
    asking.attempt.pause()
    asking.attempt.resume()
    asking.attempt.cancel()
    place.vendor.release("late")
    source = asking.attempt._source
    await source.close()
    assert (asking.seen.events, asking.leases) == ([], [])
    assert place.tokens().access == "new-access"


async def test_who_leaves_while_the_provider_is_asked_is_gone(place: Place, upstream: Upstream) -> None:
    place.vendor.on(path=CALL).reply(after(whole(b""), Hang()))
    asking = Asking(place, upstream)
    asking.attempt.begin()
    (call,) = await place.vendor.wait_requests(1)
    asking.attempt.cancel()
    async with asyncio.timeout(10):
        await call.closed_by_client.wait()


async def test_a_fault_of_ours_is_an_end(
    place: Place, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.now = LATE
    place.vendor.on(path=PATH).reply(granted())

    def planted(lease: Lease, receiver: Receiver) -> Attempt:
        raise LookupError("planted")

    asking = Asking(place, upstream)
    monkeypatch.setattr(asking.attempt, "_ask", planted)
    assert await asking.over() == ["broken planted"]
