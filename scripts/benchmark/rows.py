"""What is compared: the rows of the table, in its order. Their titles are those of docs/measurements.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.benchmark.loads import Bulk, Load
from scripts.benchmark.measures import Cpu, CpuAndMemory, FirstToken, Measure, OfficialSdk
from scripts.benchmark.streams import Streams
from scripts.benchmark.ways import WAYS

PROXIES = ("bare", "rotator")
ALL = ("direct", *PROXIES)
TRANSLATED = ("rotator", "translated")
TRACED = ("rotator", "traced")
RULED = ("rotator", "ruled")
STORED = ("rotator", "stored")
LEASED = ("rotator", "leased")
LITELLM = ("rotator", "litellm")


@dataclass(frozen=True, slots=True)
class Quantity:
    """One row: a number that is to be small."""

    title: str
    unit: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that one measurement fills."""

    rows: Sequence[Quantity]
    ways: Sequence[str]
    """Those that are measured. The last is compared with the one before it."""
    measure: Measure
    most_rounds: int = 99
    """Of a comparison, however many are asked for: it is long."""
    quick: bool = True
    """It is in a quick comparison too."""

    @property
    def columns(self) -> Sequence[str]:
        """The ways that stand in the table."""
        return self.ways if self.ways[-1] not in PROXIES else ALL


def chosen(texts: Sequence[str], *, quick: bool) -> Sequence[Group]:
    """Those with one of the texts in a title; with no text all that are in such a comparison. LiteLLM is in
    it where it is installed, and in no table of that."""
    every = [*groups(quick=quick), *([_LITELLM] if "litellm" in WAYS else [])]
    if not texts:
        return [group for group in every if group.quick or not quick]
    return [group for group in every if any(text in row.title for text in texts for row in group.rows)]


def _cpu(title: str, measure: Cpu, ways: Sequence[str] = PROXIES) -> Group:
    return Group([Quantity(title, "ms")], ways, measure)


def _first(
    title: str, measure: FirstToken | OfficialSdk, most_rounds: int = 99, ways: Sequence[str] = ALL
) -> Group:
    return Group([Quantity(title, "ms")], ways, measure, most_rounds)


_EACH = Load(50)
_SHORT = Load(1)


def groups(*, quick: bool) -> Sequence[Group]:
    """All that is measured; `quick`: with fewer calls."""
    few = 3 if quick else 1
    one_by_one = Cpu(Load(600 // few, gap=0.0022), calls=1, an_event=True)
    each = Cpu(_EACH, 45 // few)
    first = FirstToken(Load(2, gap=0.001), 90 // few)
    return (
        _cpu("50 events, a write each: CPU a call", each),
        _cpu("50 events in one write: CPU a call", Cpu(Load(50, burst=50), 90 // few)),
        _cpu("events one by one, 2.5 ms apart: CPU an event", one_by_one),
        _first("first event, one kept connection", first),
        _cpu(
            "provider on TLS, a client connection a call: CPU a call",
            Cpu(_EACH, 30 // few, secure=True, kept=False),
        ),
        _cpu("provider on TLS, kept client connections: CPU a call", Cpu(_EACH, 45 // few, secure=True)),
        _first("openai SDK, a new tunnel a call: first token", OfficialSdk(30 // few, kept=False), 5),
        _first("openai SDK, one kept tunnel: first token", OfficialSdk(30 // few, kept=True), 5),
        _cpu("request of 195 KB: CPU a call", Cpu(_SHORT, 15 // few, Bulk(messages=400))),
        _cpu("request of 487 KB: CPU a call", Cpu(_SHORT, 9 // few, Bulk(messages=1000))),
        _cpu("request of 4.9 MB: CPU a call", Cpu(_SHORT, 3 // few, Bulk(messages=10_000))),
        _cpu("request of 1 MB of base64 lines: CPU a call", Cpu(_SHORT, 6 // few, Bulk(lines=13_000))),
        _cpu(
            "2000 events in bursts of 50: CPU an event",
            Cpu(Load(2000, burst=50, gap=0.001), 3 // few, an_event=True),
        ),
        _STREAMS,
        _cpu("translated, 50 events, a write each: CPU a call", each, TRANSLATED),
        _cpu("translated, events one by one, 2.5 ms apart: CPU an event", one_by_one, TRANSLATED),
        _cpu("traced, 50 events, a write each: CPU a call", each, TRACED),
        _cpu("traced, events one by one, 2.5 ms apart: CPU an event", one_by_one, TRACED),
        _cpu("ten rules, 50 events, a write each: CPU a call", each, RULED),
        _cpu("ten rules, events one by one, 2.5 ms apart: CPU an event", one_by_one, RULED),
        _cpu("with a store, 50 events, a write each: CPU a call", each, STORED),
        _first("with a store, first event, one kept connection", first, ways=STORED),
        _cpu("a place asked for, 50 events, a write each: CPU a call", each, LEASED),
        _first("a place asked for, first event, one kept connection", first, ways=LEASED),
    )


_LITELLM = Group(
    [
        Quantity("LiteLLM, 50 events, a write each: CPU a call", "ms"),
        Quantity("LiteLLM: memory after that", "MB"),
    ],
    LITELLM,
    CpuAndMemory(Cpu(_EACH, 15)),
    quick=False,
)
_STREAMS = Group(
    [
        Quantity("500 streams, 4 events a second each: p99 of an event's way", "ms"),
        Quantity("500 streams, 4 events a second each: CPU an event", "ms"),
        Quantity("500 streams, 4 events a second each: memory a stream", "KiB"),
        Quantity("memory, idle", "MB"),
    ],
    ALL,
    Streams(500, gap=0.25, seconds=6),
    most_rounds=3,
    quick=False,
)
