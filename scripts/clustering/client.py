"""Clients of a cluster: so many calls, so many at once, and what each client saw."""

import asyncio
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import h11

from scripts.clustering.provider import SAID
from scripts.soaking.client import Broken, Connection

PATIENCE = 90.0
"""Seconds for one answer."""

BETWEEN = 0.01
"""Seconds between the first calls of two clients."""

APART = 20
"""How many conversations begin between two calls of one."""

CALLS_EACH = 5
"""Calls of one connection. The next one goes to whichever proxy has the fewest."""

_WHOLE = b"data: [DONE]"
_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Job:
    """A call to make. `conversation`: empty for one of its own. `port`: of a proxy; 0 for the balancer's."""

    host: str
    """Of which provider."""
    conversation: str = ""
    model: str = "gpt-4o"
    port: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client of one call saw."""

    job: Job
    status: int
    """0: no head came."""
    fault: str
    """Empty: the whole answer came, with its proper end."""
    key: str
    """The name of the key that answered, by the answer's headers."""
    began: float
    """Monotonic seconds."""
    first: float
    """Seconds until the head."""
    seconds: float
    """Until the end."""
    source: int
    """The client's own port. 0: it did not get as far."""


@dataclass(slots=True)
class Clients:
    """Of a proxy, or a balancer, at `port`."""

    port: int
    trust: ssl.SSLContext
    seen: list[Seen] = field(default_factory=list)
    """Of all calls that are over, in that order."""
    _turns: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """A conversation's next call waits for the answer to the one before."""

    def run(self, jobs: Iterable[Job], at_once: int) -> list[Seen]:
        """Make all these calls; what came of them, in the order in which they ended."""
        return asyncio.run(self.make(jobs, at_once))

    async def make(self, jobs: Iterable[Job], at_once: int) -> list[Seen]:
        """As `run`, inside a loop."""
        before, waiting = len(self.seen), iter(jobs)
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(self._work(waiting, number))
        return self.seen[before:]

    async def _work(self, jobs: Iterator[Job], number: int) -> None:
        """Call after call, on one connection for a few of the same host. The workers begin one after another,
        and do not all change connections at once."""
        await asyncio.sleep(number * BETWEEN)
        connection, left, place, first = None, 0, ("", 0), 1 + number % CALLS_EACH
        for job in jobs:
            if connection is None or connection.closed or not left or place != (job.host, job.port):
                if connection is not None:
                    connection.leave()
                connection, place = None, (job.host, job.port)
                left, first = first, CALLS_EACH
            async with self._turns[job.conversation] if job.conversation else nullcontext():
                connection = await self._call(job, connection)
            left -= 1
        if connection is not None:
            connection.leave()

    async def _call(self, job: Job, connection: Connection | None) -> Connection | None:
        """Notes what came of it; the connection, if another call may use it."""
        asking = Asking(job, connection)
        try:
            async with asyncio.timeout(PATIENCE):
                await asking.ask(job.port or self.port, self.trust)
        except (Broken, TimeoutError, OSError, EOFError) as error:
            asking.fault = f"{type(error).__name__}: {error}"[:200]
        self.seen.append(asking.seen())
        if asking.fault or asking.connection is None or not asking.connection.again():
            if asking.connection is not None:
                asking.connection.leave()
            return None
        return asking.connection


@dataclass(slots=True)
class Asking:
    """One call under way."""

    job: Job
    connection: Connection | None
    began: float = field(default_factory=time.monotonic)
    status: int = 0
    key: str = ""
    first: float = 0.0
    source: int = 0
    fault: str = ""
    data: bytearray = field(default_factory=bytearray)

    async def ask(self, port: int, trust: ssl.SSLContext) -> None:
        """Send it and read its answer. Raises Broken, OSError and EOFError."""
        if self.connection is None:
            self.connection = await Connection.open(port, self.job.host, trust, self._bound)
        self._bound(self.connection.port)
        self.connection.ask(_PATH, body(self.job, time.monotonic()))
        head = await self.connection.next(0.0)
        self.first = time.monotonic() - self.began
        if isinstance(head, h11.Response):
            self.status = head.status_code
            self.key = dict(head.headers).get(b"x-rotator-credential", b"").decode()
        while isinstance(event := await self.connection.next(0.0), h11.Data):
            self.data += event.data
        self.fault = self._wrong()

    def _wrong(self) -> str:
        if self.status != 200:
            return f"{self.status} {bytes(self.data[:160])!r}"
        missing = [text for text in SAID.texts if text.encode() not in self.data]
        return "" if _WHOLE in self.data and not missing else f"not whole: {bytes(self.data[-160:])!r}"

    def _bound(self, port: int) -> None:
        self.source = port

    def seen(self) -> Seen:
        seconds = time.monotonic() - self.began
        return Seen(self.job, self.status, self.fault, self.key, self.began, self.first, seconds, self.source)


def body(job: Job, sent: float) -> bytes:
    """`sent`: when, in monotonic seconds, which the provider gets to know."""
    asked = {"model": job.model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    asked["metadata"] = {"sent": str(sent)}
    return json.dumps(asked | ({"prompt_cache_key": job.conversation} if job.conversation else {})).encode()


def conversations(host: str, names: Sequence[str], turns: int) -> Iterator[Job]:
    """`turns` calls of each. They begin one after another, while those that have begun go on."""
    order = sorted((begun + APART * turn, begun) for begun in range(len(names)) for turn in range(turns))
    return (Job(host, names[begun]) for _, begun in order)
