"""What may go wrong with several proxies and a store, and what clients see of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from signal import SIGCONT, SIGSTOP

from scripts.clustering.acts import kept, named, stays
from scripts.clustering.client import Seen
from scripts.clustering.cluster import Cluster
from scripts.clustering.pools import BOUNDED, CONVERSING, KEYS, NAMES, PLACES
from scripts.clustering.provider import Noted
from scripts.clustering.report import Check
from scripts.clustering.steady import Steady

ANSWER = 0.5
"""Seconds that an answer takes meanwhile."""
BEFORE, AFTER = 2.0, 3.0
"""Seconds of undisturbed calls."""
STANDS_STILL = 20.0
GONE = 5.0
"""Seconds for which the store is away."""
ALIVE = 10.0
"""Seconds after which the places of a proxy that is gone are free."""
APART = 600.0
"""Seconds between two clocks."""
KNOWN_WITHIN = 1.0
"""Seconds after which no proxy asks with a key that rests, whatever happens: they are busy meanwhile."""
LOST = 20
"""Answers of the store that are lost, one after another."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What a fault says of itself."""

    hit: frozenset[int] = frozenset()
    """The ports of the clients whose own proxy it was that ended."""
    checks: Sequence[Check] = ()


@dataclass(frozen=True, slots=True)
class Happened:
    """What there is to say of one fault."""

    name: str
    seen: Sequence[Seen]
    noted: Sequence[Noted]
    checks: Sequence[Check]

    def row(self) -> tuple[str, ...]:
        """As `HEADING`."""
        lost = [one for one in self.seen if one.fault]
        slowest = max((one.first for one in self.seen), default=0.0)
        highest = max((one.at_once for one in self.noted if one.pool == BOUNDED), default=0)
        return (
            self.name,
            str(len(self.seen)),
            str(len(lost)),
            f"{slowest:.1f} s",
            f"{highest} of {PLACES}",
            "; ".join(f"{one.name}: {one.found}" for one in self.checks if one.found),
        )


HEADING = "fault", "calls", "failed", "slowest head", "at once", "and"


def nothing(_: Cluster) -> Aside:
    time.sleep(AFTER)
    return Aside()


def store_stands_still(cluster: Cluster) -> Aside:
    cluster.store.signal(SIGSTOP)
    time.sleep(STANDS_STILL)
    cluster.store.signal(SIGCONT)
    return Aside()


def store_killed(cluster: Cluster) -> Aside:
    cluster.store.kill()
    time.sleep(GONE)
    cluster.store.start()
    return Aside()


def store_empty(cluster: Cluster) -> Aside:
    cluster.store.kill()
    cluster.store.forget()
    time.sleep(GONE)
    cluster.store.start()
    return Aside()


def answers_lost(cluster: Cluster) -> Aside:
    ways = [*cluster.between.values()]
    for number in range(LOST):
        ways[number % len(ways)].lose_answer()
        time.sleep(0.3)
    lost = sum(way.lost for way in ways)
    return Aside(checks=[Check("answers lost", str(lost), lost >= LOST / 2)])


def proxy_killed(cluster: Cluster) -> Aside:
    """Its clients lose their calls: nobody else has these. All others have to be served."""
    name = "proxy2"
    proxy = cluster.proxies[name]
    proxy.process.send_signal(SIGSTOP)
    with cluster.balancer.sparing(name):  # who connects now would not be known
        hit = cluster.balancer.clients(name)
        proxy.process.kill()
        killed = time.monotonic()
        proxy.wait_exit()
    time.sleep(ALIVE + AFTER)
    freed = free_again(cluster.provider.so_far(), killed)
    cluster.begin(name, port=proxy.port)
    return Aside(frozenset(hit), [freed])


def free_again(noted: Sequence[Noted], since: float) -> Check:
    """How long it took until each key had all its places in flight again."""
    full = {
        key: min((one.at for one in noted if one.key == key and _is_full(one, since)), default=None)
        for key in KEYS.values()
    }
    late = [at for at in full.values() if at is not None]
    if len(late) < len(full):
        return Check("its places are free again", f"of {len(full) - len(late)} keys never", holds=False)
    seconds = max(late) - since
    return Check("its places are free again", f"after {seconds:.1f} s", seconds <= ALIVE + AFTER)


def _is_full(one: Noted, since: float) -> bool:
    return one.pool == BOUNDED and one.at > since and one.at_once >= PLACES


def clocks_apart(cluster: Cluster) -> Aside:
    cluster.again("proxy3", ahead=APART)
    time.sleep(2 * AFTER)
    cluster.again("proxy3")
    return Aside()


def rolling_restart(cluster: Cluster) -> Aside:
    for name in [*cluster.proxies]:
        cluster.again(name)
    return Aside()


FAULTS: Mapping[str, tuple[str, Callable[[Cluster], Aside]]] = {
    "none": ("nothing happens", nothing),
    "killed": ("a proxy is killed (-9) in mid-stream", proxy_killed),
    "still": (f"the store stands still for {STANDS_STILL:.0f} s", store_stands_still),
    "restarted": (f"the store is killed, and back with its data after {GONE:.0f} s", store_killed),
    "empty": (f"the store is killed, and back empty after {GONE:.0f} s", store_empty),
    "lost": ("connections to the store break between command and answer", answers_lost),
    "clocks": (f"a proxy's clock is {APART / 60:.0f} minutes ahead", clocks_apart),
    "rolling": ("all proxies are restarted, one after another", rolling_restart),
}


def happen(cluster: Cluster, fault: str, number: int) -> Happened:
    """Under a steady load of which the provider has refused one key, the key of this number."""
    name, does = FAULTS[fault]
    cluster.provider.taken()
    cluster.provider.seconds = ANSWER
    key = KEYS[f"key-{number}"]
    with Steady(cluster, fault) as load:
        load.wait_begun()
        cluster.provider.limit(CONVERSING, key, 120.0)
        time.sleep(BEFORE)
        aside = does(cluster)
        time.sleep(AFTER)
        cluster.wait_together()
        time.sleep(AFTER)
    cluster.provider.limit(CONVERSING, key, 0.0)
    seen = load.clients.seen
    noted = [named(one) for one in cluster.provider.taken()]
    return Happened(name, seen, noted, [*aside.checks, *judged(seen, noted, aside.hit, NAMES[key])])


def judged(seen: Sequence[Seen], noted: Sequence[Noted], hit: frozenset[int], limited: str) -> list[Check]:
    """What has to hold whatever happens. `limited`: the name of the key that was refused."""
    others = [one for one in seen if one.fault and one.source not in hit]
    found = f"{len(others)}: {others[0].fault}" if others else "none"
    touched = {one.conversation for one in noted if one.key == limited}
    talking = [one for one in noted if one.conversation and one.conversation not in touched]
    return [
        Check("failed without need", found, not others and bool(seen)),
        kept(noted, KNOWN_WITHIN),
        stays(talking),
    ]
