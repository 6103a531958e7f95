"""What calls cost the store, and what one store can do: python -m scripts.clustering.costs

Commands, bytes and CPU of calls are what the store itself counts while three proxies make them. Then
redis-benchmark plays the same scripts, with arguments as a proxy sent them, on a store of its own that three
others listen to.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from addons.store.script import scripts
from scripts.clustering.client import Job
from scripts.clustering.cluster import Cluster
from scripts.clustering.pools import BOUNDED, CONVERSING, COUNTED, HOSTS
from scripts.clustering.programs import missing
from scripts.clustering.report import aligned
from scripts.clustering.store import Store

CALLS, AT_ONCE = 150, 10
"""Of each pool. There are more places and requests than these need."""
LISTENERS = 3
BINDINGS = 100_000
BENCHMARKED = ("acquire", "settle", "merge")
_COMMANDS = re.compile(rb"(?m)^rotator_store_commands_total (\S+)$")
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"')
_HASH = re.compile(r"[0-9a-f]{32,}")
_ANY_HASH = "0" * 20 + "__rand_int__"
"""As long as a hash: redis-benchmark puts twelve digits there."""
_RATE = re.compile(r"([\d.]+) requests per second")
_MANY = "1000000000000"
_LIMITS = {"acquire": 4}
"""Which argument of a script bounds what is given, counted from 1."""


@dataclass(frozen=True, slots=True)
class Spent:
    """So far, by all proxies together."""

    commands: float
    received: int
    """Bytes that the store received."""
    sent: int
    cpu: float
    """Seconds of its CPU."""
    at: float

    def since(self, before: "Spent") -> "Spent":
        return Spent(
            self.commands - before.commands,
            self.received - before.received,
            self.sent - before.sent,
            self.cpu - before.cpu,
            self.at - before.at,
        )


def spent(cluster: Cluster, client: redis.Redis) -> Spent:
    pages = (_metrics(proxy.url) for proxy in cluster.proxies.values())
    commands = sum(float(found[1]) for page in pages if (found := _COMMANDS.search(page)))
    info = client.info("everything")
    cpu = info["used_cpu_user"] + info["used_cpu_sys"]
    return Spent(
        commands, info["total_net_input_bytes"], info["total_net_output_bytes"], cpu, time.monotonic()
    )


def _metrics(proxy: str) -> bytes:
    """Of the proxy at this URL."""
    handler = urllib.request.ProxyHandler({"http": proxy})
    with urllib.request.build_opener(handler).open("http://rotator.local/metrics", timeout=10) as answer:
        found: bytes = answer.read()
        return found


def of_calls(cluster: Cluster, client: redis.Redis) -> Iterator[Sequence[str]]:
    """A row for each kind of call."""
    yield "a call", "commands", "bytes to the store", "bytes from it", "its CPU"
    before = spent(cluster, client)
    time.sleep(5.0)
    idle = spent(cluster, client).since(before)
    kinds = {
        "on a key without limits, of a conversation": Job(HOSTS[CONVERSING], "one"),
        "on one with max_concurrency": Job(HOSTS[BOUNDED]),
        "on one with a window of requests": Job(HOSTS[COUNTED]),
    }
    for kind, job in kinds.items():
        before = spent(cluster, client)
        cluster.clients().run([job] * CALLS, AT_ONCE)
        time.sleep(1.5)  # what may be written later is written
        used = spent(cluster, client).since(before)
        rest = used.at / idle.at
        yield (
            kind,
            f"{(used.commands - idle.commands * rest) / CALLS:.1f}",
            f"{(used.received - idle.received * rest) / CALLS:.0f}",
            f"{(used.sent - idle.sent * rest) / CALLS:.0f}",
            f"{(used.cpu - idle.cpu * rest) / CALLS * 1e6:.0f} us",
        )


def hearing(cluster: Cluster) -> float:
    """Seconds of CPU that a proxy takes for a call of another, of which it only hears."""
    *asked, hears = cluster.proxies.values()
    jobs = [Job(HOSTS[CONVERSING], f"heard-{n}", port=asked[n % 2].port) for n in range(2 * CALLS)]
    idle = _cpu(hears.process.pid)
    time.sleep(5.0)
    began, before = time.monotonic(), _cpu(hears.process.pid)
    cluster.clients().run(jobs, AT_ONCE)
    time.sleep(1.0)
    used, seconds = _cpu(hears.process.pid) - before, time.monotonic() - began
    return max(used - (before - idle) / 5.0 * seconds, 0.0) / len(jobs)


def _cpu(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def monitored(port: int) -> Iterator[list[str]]:
    """The lines of all that is asked of the store meanwhile."""
    lines: list[str] = []
    with tempfile.TemporaryFile("w+") as output:
        asking = subprocess.Popen(["redis-cli", "-p", str(port), "MONITOR"], stdout=output)
        try:
            time.sleep(0.5)
            yield lines
        finally:
            asking.terminate()
            asking.wait()
            output.seek(0)
            lines += output.readlines()


def as_sent(lines: Sequence[str]) -> Mapping[str, list[str]]:
    """The longest command of each script, as a proxy sent it."""
    names, found = {one.sha: one.name for one in scripts()}, dict[str, list[str]]()
    for line in lines:
        words = [str(literal_eval(word)) for word in _WORD.findall(line)]
        name = names.get(words[1]) if len(words) > 1 and words[0].lower() == "evalsha" else None
        if name and len(line) > len(" ".join(found.get(name, []))):
            found[name] = words
    return found


def unlimited(name: str, words: Sequence[str]) -> list[str]:
    """The same without a bound, so that each is given what it asks for, and each of another conversation."""
    changed = [_HASH.sub(_ANY_HASH, word) if name == "merge" else word for word in words]
    if name in _LIMITS:
        first = 3 + int(words[2])
        changed[first + _LIMITS[name] - 1] = _MANY
        changed[first + 8 :: 3] = [_MANY] * len(changed[first + 8 :: 3])
    return [words[0], words[1], *changed[2:]]


def benchmarked(commands: Mapping[str, list[str]], folder: Path) -> Iterator[Sequence[str]]:
    """A row for each script; the last one says what conversations take."""
    with ExitStack() as stack:
        store = stack.enter_context(Store(folder))
        client = stack.enter_context(redis.Redis(port=store.port))
        for each in scripts():
            client.script_load(each.text)
        client.zadd("rotator:proxies", {f"{number:012x}": 9e15 for number in range(LISTENERS)})
        for _ in range(LISTENERS):
            stack.callback(_listening(store.port).terminate)
        yield "script", "a second", "of one"
        for name in (each for each in BENCHMARKED if each in commands):
            rate = _rate(store.port, unlimited(name, commands[name]))
            yield name, f"{rate:.0f}", f"{1e6 / rate:.0f} us"
        yield "", "", ""
        yield from _memory(client, store.port, unlimited("merge", commands["merge"]))


def _listening(port: int) -> subprocess.Popen[bytes]:
    asked = ["redis-cli", "-p", str(port), "SUBSCRIBE", "rotator:changes"]
    return subprocess.Popen(asked, stdout=subprocess.DEVNULL)


def _rate(port: int, words: Sequence[str], number: int = 20_000) -> float:
    how = ("-p", str(port), "-n", str(number), "-c", "20", "-r", str(BINDINGS), "-q")
    done = subprocess.run(["redis-benchmark", *how, *words], capture_output=True, text=True, check=True)
    rates = _RATE.findall(done.stdout)
    if not rates:
        raise RuntimeError(f"redis-benchmark: {done.stdout[-300:]}{done.stderr[-300:]}")
    return float(rates[-1])


def _memory(client: redis.Redis, port: int, words: Sequence[str]) -> Iterator[Sequence[str]]:
    client.flushall()
    before = client.info("memory")["used_memory"]
    _rate(port, words, 3 * BINDINGS)
    kept, taken = client.dbsize(), client.info("memory")["used_memory"] - before
    each = taken / kept
    yield "conversations in the store", f"{kept}", f"{taken / 1e6:.0f} MB"
    yield "one of them", "", f"{each:.0f} bytes"
    yield "a million", "", f"{each:.0f} MB"


def main() -> int:
    if absent := missing():
        print(absent, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, Cluster(Path(name)) as cluster:
        with redis.Redis(port=cluster.store.port) as client:
            print(*aligned([*of_calls(cluster, client)]), sep="\n", flush=True)
        print(f"a proxy that hears of a call: {hearing(cluster) * 1e6:.0f} us of its CPU", flush=True)
        with monitored(cluster.store.port) as lines:
            jobs = [Job(HOSTS[CONVERSING], "two"), Job(HOSTS[BOUNDED]), Job(HOSTS[COUNTED])]
            cluster.clients().run(jobs, 1)
            time.sleep(1.5)
        commands = as_sent(lines)
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        print("", *aligned([*benchmarked(commands, Path(name))]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
