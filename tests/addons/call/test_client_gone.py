"""A client that leaves, at every stage of a call: what is left is counted, in turns of the event loop.

No time is measured and none passes: a stage is reached when its condition holds, and then the loop goes
round a few times, which takes it some microseconds. The provider runs in a loop of its own.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from addons.credentials.lease import Lease
from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from rewrite.credentials.choosing import Unavailable
from rewrite.values.events import Acquire
from tests.addons.call.test_driver import PATIENCE, TEXT, House, Kept
from tests.vendor import Answer, Hang, Reply, Send, Vendor, VendorThread, WaitFor, chat_error, streamed

TURNS = 20
"""Rounds of the event loop within which everything is gone."""


class CountingHouse(House):
    """Knows how many credentials it has given out; all are free until `full`."""

    leased = 0
    full = 99

    def acquire(self, command: Acquire) -> Lease | Unavailable:
        self.has_others = self.leased < self.full
        self.free = None if self.has_others else Unavailable(20.0)
        found = super().acquire(command)
        self.leased += isinstance(found, Lease)
        return found


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a call has come: what the provider does, how it is known that it did, and in which state of
    the house. `sockets`: whether a connection to the provider is open then."""

    answer: Answer
    reached: Callable[["Scene"], bool]
    full: int = 99
    reads: bool = True
    sockets: int = 1


class Scene:
    """One call on its way, and what there was before it."""

    def __init__(self, house: CountingHouse, vendor: VendorThread, stage: Stage, port: int = 0) -> None:
        self.house, self.vendor, self._port = house, vendor, port or vendor.port
        house.full = stage.full
        self.kept = Kept(gate=None if stage.reads else asyncio.Event())
        self.driver = house.driver(stall=60.0)
        self._before = asyncio.all_tasks()
        self.running = asyncio.ensure_future(self.driver.run(self.kept))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0)

    @property
    def held(self) -> dict[str, int]:
        """What the call has: tasks besides its own, timers, connections, credentials."""
        return {
            "tasks": len(asyncio.all_tasks() - self._before - {self.running}),
            "timers": sum("._rang" in repr(each) for each in pending_timers()),
            "sockets": sum(peer(number) == self._port for number in descriptors()),
            "credentials": self.house.leased - len(self.house.released),
        }

    async def left(self) -> dict[str, int]:
        """What it still has after so many turns of the loop, or at once when it has nothing."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if self.running.done() and not any(self.held.values()):
                break
        return self.held


def pending_timers() -> Iterator[asyncio.TimerHandle]:
    handles: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # nothing public
    return (each for each in handles if not each.cancelled())


def descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


def peer(descriptor: int) -> int:
    """The port at the other end of a connection; 0 for any other descriptor."""
    try:
        borrowed = socket.socket(fileno=descriptor)
    except OSError:
        return 0
    try:
        return cast(int, borrowed.getpeername()[1]) if borrowed.family == socket.AF_INET else 0
    except OSError:
        return 0
    finally:
        borrowed.detach()


def sent(text: bytes) -> Callable[[Scene], bool]:
    return lambda scene: text in scene.kept.body


def held_back(scene: Scene) -> bool:
    return scene.driver._answer.head is not None and bool(scene.driver._answer.unsent)


def waits(scene: Scene) -> bool:
    """For a back-off or a credential: the attempt before is over, and a timer is all that there is."""
    return not any(scene.held[name] for name in ("tasks", "credentials")) and scene.held["timers"] > 0


STAGES = {
    "headers": Stage(Hang(), lambda scene: bool(scene.vendor.requests)),
    "preamble": Stage(streamed(TEXT[:1], WaitFor("never")), held_back),
    "streaming": Stage(streamed(TEXT[:2], WaitFor("never")), sent(b"Hello")),
    "not reading": Stage(streamed(TEXT[:2], WaitFor("never")), sent(b"Hello"), reads=False),
    "error body": Stage(
        Reply(500, (), (Send(b"{"), WaitFor("never"))), lambda scene: scene.driver._answer.head is not None
    ),
    "back-off": Stage(
        chat_error(503, "server_error", "busy", (("retry-after", "60"),)), waits, full=1, sockets=0
    ),
    "queue": Stage(
        chat_error(429, "rate_limit_exceeded", "slow", (("retry-after", "20"),)), waits, full=1, sockets=0
    ),
}


@pytest.fixture(params=["plain", "tls"])
def vendor(request: pytest.FixtureRequest) -> Iterator[VendorThread]:
    with VendorThread(Vendor(tls=request.param == "tls")) as running:
        yield running


@pytest.fixture
async def house(vendor: VendorThread) -> AsyncIterator[CountingHouse]:
    made = CountingHouse(vendor)
    await made.upstream.close()
    made.upstream = Upstream(Direct(tls_context(insecure=True, ca_file=None, ca_dir=None)))
    yield made
    await made.upstream.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_nothing_is_left(vendor: VendorThread, house: CountingHouse, stage: str) -> None:
    vendor.reply(STAGES[stage].answer)
    scene = Scene(house, vendor, STAGES[stage])
    await scene.until(lambda: STAGES[stage].reached(scene))
    # An idle connection is kept where its answer was read to the end: that is no leak, and no call's.
    idle = scene.held["sockets"] - STAGES[stage].sockets
    scene.running.cancel()
    assert await scene.left() == {"tasks": 0, "timers": 0, "sockets": idle, "credentials": 0}
    assert [summary.end for summary in house.reports] == ["abandoned"]
    if STAGES[stage].sockets:
        (received,) = vendor.requests
        await asyncio.to_thread(vendor.run, received.closed_by_client.wait())


@pytest.mark.parametrize("stage", STAGES)
async def test_the_flows_end_is_enough(vendor: VendorThread, house: CountingHouse, stage: str) -> None:
    """`client_gone` is called ahead of the cancelling where the flow ends in a hook."""
    vendor.reply(STAGES[stage].answer)
    scene = Scene(house, vendor, STAGES[stage])
    await scene.until(lambda: STAGES[stage].reached(scene))
    idle = scene.held["sockets"] - STAGES[stage].sockets
    scene.driver.client_gone()
    assert house.leased == len(house.released)
    assert scene.held["timers"] == 0
    scene.running.cancel()
    assert await scene.left() == {"tasks": 0, "timers": 0, "sockets": idle, "credentials": 0}
    assert len(house.reports) == 1


async def test_a_connection_that_is_being_made(vendor: VendorThread, house: CountingHouse) -> None:
    """The provider takes the connection and never shakes hands."""
    accepted: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()
    held: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        accepted.put_nowait(reader)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        house.base_url = f"https://127.0.0.1:{port}"
        scene = Scene(house, vendor, Stage(Hang(), lambda _: True), port)
        async with asyncio.timeout(PATIENCE):
            reader = await accepted.get()
            await reader.readexactly(1)
        before = scene.held
        scene.running.cancel()
        assert await scene.left() == {"tasks": 0, "timers": 0, "sockets": 0, "credentials": 0}
        held[0].transport.abort()
    assert {**before, "tasks": 1} == {"tasks": 1, "timers": 0, "sockets": 1, "credentials": 1}
    assert before["tasks"], "one that connects"
    assert [summary.end for summary in house.reports] == ["abandoned"]
