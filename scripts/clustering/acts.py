"""What a cluster has to do when all is well: each act is some calls, and what has to hold of them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from scripts.clustering.client import PATIENCE, Job, Seen, conversations
from scripts.clustering.cluster import Cluster
from scripts.clustering.login import Endpoint
from scripts.clustering.pools import BOUNDED, CONVERSING, COUNTED, HOSTS, KEYS, LOGIN, NAMES, PLACES, WINDOW
from scripts.clustering.provider import Noted
from scripts.clustering.report import Check, answered

TURNS = 5
"""Calls of one conversation."""

UNHURRIED = 0.6
"""Seconds of an answer where it matters how soon proxies learn something."""

KEPT_WITHIN = 0.1
"""Seconds after a 429 in which the other proxies learn of it."""

SHARE = 0.1
"""By how much of a fair share one may be off."""


@dataclass(frozen=True, slots=True)
class Played:
    """What clients and provider saw of an act, and what is held to be so."""

    heading: str
    seen: Sequence[Seen]
    noted: Sequence[Noted]
    checks: Sequence[Check]


def conversing(cluster: Cluster, calls: int, at_once: int) -> Played:
    """Conversations, whose calls get to whichever proxy the balancer chooses."""
    names = [f"conversation-{number}" for number in range(calls // TURNS)]
    with unhurried(cluster):
        seen, noted = _made(cluster, conversations(HOSTS[CONVERSING], names, TURNS), at_once)
    heading = f"{calls} calls of {len(names)} conversations, {at_once} at once, on {len(KEYS)} keys in turn"
    held = answered(seen, calls), stays(noted), wandered(noted), fair(noted)
    return Played(heading, seen, noted, held)


@contextmanager
def unhurried(cluster: Cluster) -> Iterator[None]:
    """Answers take longer, as real ones do: on few cores a hundred at once are more than proxies can do."""
    seconds, cluster.provider.seconds = cluster.provider.seconds, UNHURRIED
    yield
    cluster.provider.seconds = seconds


def bounded(cluster: Cluster, calls: int, at_once: int) -> Played:
    """More at once than there are places."""
    seen, noted = _made(cluster, (Job(HOSTS[BOUNDED]) for _ in range(calls)), at_once)
    heading = f"{calls} calls, {at_once} at once, on {len(KEYS)} keys with max_concurrency = {PLACES}"
    return Played(heading, seen, noted, (answered(seen, calls), within(noted, PLACES)))


def limited(cluster: Cluster, calls: int, at_once: int) -> Played:
    """The provider refuses one key to all from the middle on."""
    with unhurried(cluster):
        seen, noted = _made(cluster, _limited_halfway(cluster, calls), at_once)
    heading = f"{calls} calls, {at_once} at once, one key is rate-limited halfway"
    return Played(heading, seen, noted, (answered(seen, calls), kept(noted)))


def _limited_halfway(cluster: Cluster, calls: int) -> Iterator[Job]:
    key = KEYS["key-3"]
    for number in range(calls):
        if number == calls // 2:
            cluster.provider.limit(CONVERSING, key, PATIENCE)
        yield Job(HOSTS[CONVERSING])


def counted(cluster: Cluster, calls: int, at_once: int) -> Played:
    """More calls than all windows let through, once in the life of a cluster."""
    most = WINDOW * len(KEYS)
    seen, noted = _made(cluster, (Job(HOSTS[COUNTED]) for _ in range(most + calls // 10)), at_once)
    heading = f"{len(seen)} calls, {at_once} at once, on {len(KEYS)} keys with {WINDOW} requests a day each"
    return Played(heading, seen, noted, (let_through(seen, most), used_up(noted)))


def refreshed(cluster: Cluster, calls: int, at_once: int) -> Played:
    """A login whose token is over, with a file of its own at each proxy."""
    calls = min(calls, at_once, 30)
    seen, noted = _made(cluster, (Job(HOSTS[LOGIN]) for _ in range(calls)), calls)
    heading = f"{calls} calls at once on a login whose token is over"
    return Played(heading, seen, noted, (answered(seen, calls), once(cluster.provider.login)))


ACTS: Mapping[str, Callable[[Cluster, int, int], Played]] = {
    "conversations": conversing,
    "places": bounded,
    "429": limited,
    "windows": counted,
    "login": refreshed,
}


def _made(cluster: Cluster, jobs: Iterator[Job], at_once: int) -> tuple[list[Seen], list[Noted]]:
    cluster.provider.taken()
    seen = cluster.clients().run(jobs, at_once)
    return seen, [named(one) for one in cluster.provider.taken()]


def named(noted: Noted) -> Noted:
    """With the name of its key in the key's place."""
    return replace(noted, key=NAMES.get(noted.key, noted.pool))


def stays(noted: Sequence[Noted]) -> Check:
    """Whether each conversation was on one key."""
    keys = _by_conversation(noted, lambda one: one.key)
    moved = [name for name, used in keys.items() if len(used) > 1]
    return Check("conversations on one key", f"{len(keys) - len(moved)} of {len(keys)}", not moved)


def wandered(noted: Sequence[Noted]) -> Check:
    """Whether the others are held to anything: calls of a conversation got to several proxies."""
    proxies = _by_conversation(noted, lambda one: one.proxy)
    several = sum(len(used) > 1 for used in proxies.values())
    return Check("conversations on several proxies", f"{several} of {len(proxies)}", several > 0)


def _by_conversation(noted: Sequence[Noted], what: Callable[[Noted], str]) -> dict[str, set[str]]:
    found = defaultdict[str, set[str]](set)
    for one in noted:
        found[one.conversation].add(what(one))
    return found


def fair(noted: Sequence[Noted]) -> Check:
    """Whether each key had its share of the requests."""
    counts = Counter(one.key for one in noted)
    least, most = min(counts[name] for name in KEYS), max(counts.values(), default=0)
    share = len(noted) / len(KEYS)
    holds = share * (1 - SHARE) <= least and most <= share * (1 + SHARE)
    return Check("requests of a key", f"{least} to {most}, fair is {share:.0f}", holds)


def within(noted: Sequence[Noted], most: int) -> Check:
    """Whether no key ever had more in flight."""
    highest = max((one.at_once for one in noted), default=0)
    over = sum(one.at_once > most for one in noted)
    found = f"at most {highest}, of {most}" + (f"; {over} requests were too many" if over else "")
    return Check("in flight with one key", found, not over and highest > 0)


def kept(noted: Sequence[Noted], seconds: float = KEPT_WITHIN) -> Check:
    """Whether no call got a key that was sent so long after any proxy had seen its 429."""
    refused = [one for one in noted if one.limited]
    if not refused:
        return Check("429s", "none", holds=False)
    last = max(0.0, max(one.sent for one in refused) - refused[0].at)
    found = f"{len(refused)} 429s, the last to a call sent {last * 1000:.0f} ms after the first"
    return Check("the key is left alone", found, last <= seconds)


def let_through(seen: Sequence[Seen], most: int) -> Check:
    """Whether as many calls were answered as there was room for, and all others refused."""
    counts = Counter(one.status for one in seen)
    found = f"{counts[200]} of {most}, others: {counts[429]} x 429" + (
        f"; {_strange(seen)}" if _strange(seen) else ""
    )
    return Check("let through", found, counts[200] == most and counts[200] + counts[429] == len(seen))


def _strange(seen: Sequence[Seen]) -> str:
    return next((one.fault for one in seen if one.fault and one.status != 429), "")


def used_up(noted: Sequence[Noted]) -> Check:
    """Whether each key served as often as it may."""
    counts = Counter(one.key for one in noted)
    least, most = min(counts[name] for name in KEYS), max(counts.values(), default=0)
    return Check("requests of a key", f"{least} to {most}, of {WINDOW}", least == most == WINDOW)


def once(endpoint: Endpoint) -> Check:
    """Whether its token was refreshed once for all."""
    found = f"{endpoint.refreshes}, and {endpoint.refused} refused"
    return Check("refreshes", found, endpoint.refreshes == 1 and not endpoint.refused)
