"""Where the CPU of a call goes: python -m scripts.benchmark.profile [--calls N] [--new] [--whole] WAY

A call is one of 50 events, a write each. Each part of the process is printed with its microseconds a call, of
all that its lines do themselves and call in C, and the lines that cost most.
"""

import argparse
import asyncio
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.benchmark.client import Client
from scripts.benchmark.loads import NOTHING, Load
from scripts.benchmark.ways import Lab, Way

PROFILED = ("bare", "rotator", "translated")
_OWN = re.compile(r"/((?:addons|rewrite|protocols)/\w+)")
_PACKAGE = re.compile(r".*/site-packages/(mitmproxy/\w+|\w+)|.*/python3\.\d+/(\w+)")

type Line = tuple[str, int, str]
"""A file, the number of a line in it, and the function."""


def read(text: str) -> Counter[Line]:
    """The samples of a file that `sampler` has written."""
    return Counter({(name, line, function): times for (name, line, function), times in json.loads(text)})


def part(name: str) -> str:
    """What a file belongs to: a folder of ours, one of mitmproxy's, a package, or a module of Python's."""
    if found := _PACKAGE.match(name):
        return found[1] or found[2]
    own = _OWN.search(name)
    return own[1] if own else name


def owner(name: str) -> str:
    """Whose a part is. What `<string>` does are mostly the `__init__` of our dataclasses."""
    if name.startswith(("addons/", "rewrite/", "protocols/", "<string>")):
        return "rotator"
    return "mitmproxy" if name.startswith("mitmproxy/") else "Python and other libraries"


def table(samples: Counter[Line], used: float, lines: int) -> Iterator[str]:
    """`used`: milliseconds of CPU for a call, which all samples share."""
    total = samples.total()
    parts: Counter[str] = Counter()
    for (name, _, _), times in samples.items():
        parts[part(name)] += times
    yield f"{used:.2f} ms of CPU a call, {total} samples"
    owners: Counter[str] = Counter()
    for name, times in parts.items():
        owners[owner(name)] += times
    yield from _rows(owners.most_common(), total, used)
    yield "\nby part"
    yield from _rows(parts.most_common(), total, used)
    yield "\nthe lines that cost most"
    named = [(f"{part(name)}: {function}, {line}", n) for (name, line, function), n in samples.items()]
    yield from _rows(Counter(dict(named)).most_common(lines), total, used)


def _rows(counted: Iterable[tuple[str, int]], total: int, used: float) -> Iterator[str]:
    for name, times in counted:
        yield f"{times / total * used * 1000:8.0f} us {times / total:6.1%}  {name}"


async def calls(way: Way, load: Load, number: int, *, new: bool) -> float:
    """Milliseconds of CPU for each of so many calls. `new`: each on a new connection, its provider on TLS."""
    before = way.cpu()
    if new:
        for _ in range(number):
            async with await Client.connect(way.secure) as client:
                await client.call(load, NOTHING)
    else:
        async with await Client.connect(way.plain) as client:
            for _ in range(number):
                await client.call(load, NOTHING)
    return (way.cpu() - before) * 1000 / number


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmark.profile", description=__doc__)
    parser.add_argument("way", choices=PROFILED)
    parser.add_argument("--calls", type=int, default=2000, help="how many are made (default 2000)")
    parser.add_argument("--lines", type=int, default=25, help="how many lines are printed (default 25)")
    parser.add_argument("--new", action="store_true", help="a client connection a call, the provider on TLS")
    parser.add_argument("--whole", action="store_true", help="the answer in one write")
    asked = parser.parse_args()
    load = Load(50, burst=50) if asked.whole else Load(50)
    with tempfile.TemporaryDirectory() as name:
        samples = Path(name) / "samples.json"
        with Lab(Path(name), samples) as lab:
            used = asyncio.run(calls(lab.way(asked.way), load, asked.calls, new=asked.new))
        # The file is there once the proxies have ended.
        print(*table(read(samples.read_text(encoding="utf-8")), used, asked.lines), sep="\n")


if __name__ == "__main__":
    main()
