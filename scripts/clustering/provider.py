"""The fake provider's part in a cluster: it answers, refuses keys when it is asked to, and counts."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.clustering import login
from scripts.clustering.login import Endpoint
from scripts.clustering.pools import LOGIN
from tests.vendor import Answer, Received
from tests.vendor.defaults import Asked, asked, not_found
from tests.vendor.script import Pause, Reply
from tests.vendor.speech import Said

PIECES = 5
SAID = Said(tuple(f"word{number} " for number in range(PIECES)))
"""What is answered."""


_GOLDEN = 0.618
type Place = tuple[str, str]
"""A pool, and a key of it."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One request as the provider saw it."""

    at: float
    """Monotonic seconds."""
    proxy: str
    """Which proxy sent it: the first part of its path."""
    pool: str
    """Of which pool its key is: the second part."""
    key: str
    conversation: str
    """Its `prompt_cache_key`."""
    at_once: int
    """How many requests with this key of this pool were under way, this one included."""
    limited: bool
    """Whether it was answered 429."""
    sent: float
    """When its client sent it, in monotonic seconds: a busy proxy takes its time."""


@dataclass(slots=True)
class Provider:
    """`seconds` is how long an answer takes, about. Called in the fake provider's thread; read in any."""

    seconds: float = 0.1
    login: Endpoint = field(default_factory=Endpoint)
    clock: Callable[[], float] = time.monotonic
    _noted: list[Noted] = field(default_factory=list)
    _under_way: dict[Place, list[Received]] = field(default_factory=lambda: defaultdict(list))
    _limits: dict[Place, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, received: Received) -> Answer:
        if received.path == login.PATH:
            return self.login(received)
        call = asked(received)
        if call is None:
            return not_found()
        with self._lock:
            noted = self._note(received)
        if noted.pool == LOGIN and noted.key != self.login.access:
            return call.speech.error(401, "The token has expired.")
        if noted.limited:
            seconds = self._limits[noted.pool, noted.key][1]
            return call.speech.error(429, "Slow down.", (("retry-after", str(round(seconds))),))
        return paced(call, self.seconds * _varied(received.number))

    def _note(self, received: Received) -> Noted:
        _, proxy, pool, *_ = received.path.split("/")
        now, place = self.clock(), (pool, received.credential)
        under_way = [one for one in self._under_way[place] if not (one.complete or one.finished.is_set())]
        self._under_way[place] = [*under_way, received]
        said = received.json()
        conversation, sent = str(said.get("prompt_cache_key", "")), float(said["metadata"]["sent"])
        limit = self._limits.get(place)
        limited = limit is not None and now < limit[0]
        noted = Noted(now, proxy, *place, conversation, len(under_way) + 1, limited, sent)
        self._noted.append(noted)
        return noted

    def limit(self, pool: str, key: str, seconds: float) -> None:
        """Answer 429 to a key for so long."""
        with self._lock:
            self._limits[pool, key] = self.clock() + seconds, seconds

    def so_far(self) -> list[Noted]:
        """The requests since they were last taken."""
        with self._lock:
            return [*self._noted]

    def taken(self) -> list[Noted]:
        """The requests since this was last asked."""
        with self._lock:
            noted, self._noted = self._noted, []
        return noted


def _varied(number: int) -> float:
    """By which factor this answer takes longer: 0.75 to 1.25, so that not all end together."""
    return 0.75 + number * _GOLDEN % 1.0 / 2


def paced(call: Asked, seconds: float) -> Reply:
    """An answer that takes so long, if it is streamed."""
    if not call.stream:
        return call.speech.whole(SAID, model=call.model)
    reply = call.speech.stream(SAID, model=call.model, usage=call.usage, array=call.array)
    pause = Pause(seconds / len(reply.steps))
    return Reply(reply.status, reply.headers, tuple(step for send in reply.steps for step in (pause, send)))
