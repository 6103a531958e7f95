"""The soak, small: it runs, it judges, and each thing that it is for fails its verdict."""

import re
import sys
import tracemalloc
from dataclasses import replace

import pytest

from scripts.soaking.__main__ import soak
from scripts.soaking.judging import checker
from scripts.soaking.verdict import JUDGED, WARM_UP, Leftovers, Sample, of_leftovers, of_memory
from tests.e2e import inside
from tests.e2e.translation.scenarios import ANSWER
from tests.vendor.speech import SPEECHES

REST = Leftovers(descriptors=7, tasks=11, calls=0, idle=0)


def rests(*megabytes: float) -> list[Sample]:
    """What was read at the end of the warm-up, and of rounds after it that make enough calls together."""
    step = JUDGED // (len(megabytes) - 1) + 1
    return [Sample(taken, 80, 200, WARM_UP + number * step) for number, taken in enumerate(megabytes)]


def test_flat_memory_is_flat() -> None:
    assert list(of_memory(rests(140, 140, 140))) == list(of_memory(rests(140, 150, 147))) == []


def test_what_was_taken_while_it_warmed_up_is_no_growth() -> None:
    assert list(of_memory([Sample(90, 80, 200, WARM_UP - 1), *rests(140, 141, 140)])) == []


def test_memory_that_grows_is_reported() -> None:
    assert list(of_memory(rests(140, 143, 150))) == ["memory grew by 10.0 MB (bound 8)"]


def test_too_few_calls_are_no_proof() -> None:
    few = f"too few calls to judge memory by: 0 of {JUDGED} after {WARM_UP}"
    assert list(of_memory([])) == list(of_memory(rests(140, 140)[:1])) == [few]
    late = [replace(rest, calls=rest.calls - 1) for rest in rests(140, 140, 140)]
    (found,) = of_memory(late)
    assert found.startswith("too few calls to judge memory by")


def test_idle_connections_to_the_provider_are_no_leak() -> None:
    assert list(of_leftovers(REST, Leftovers(descriptors=79, tasks=11, calls=0, idle=72), 100)) == []


def test_what_is_left_is_reported() -> None:
    after = Leftovers(descriptors=79, tasks=13, calls=1, idle=70)
    assert list(of_leftovers(REST, after, 60)) == [
        "70 connections to the provider are kept, more than there were streams at once",
        "1 objects of calls that are over are left",
        "2 tasks are left",
        "2 sockets or files are left",
    ]


@pytest.mark.parametrize("protocol", SPEECHES)
def test_a_good_stream_passes_and_others_do_not(protocol: str) -> None:
    check, _ = checker()
    events = SPEECHES[protocol].events(ANSWER, "m")
    assert check(protocol, 200, b"".join(events)) == ""
    assert "no end" in check(protocol, 200, b"".join(events[:2]))
    lost = next(number for number, event in enumerate(events) if b"bravo" in event)
    without = [*events[:lost], *events[lost + 1 :]]
    assert "not what the provider said" in check(protocol, 200, b"".join(without))
    broken = [*events[:lost], events[lost].replace(b"}", b"", 1), *events[lost + 1 :]]
    assert check(protocol, 200, b"".join(broken))
    assert check(protocol, 500, b"<html>")
    assert check(protocol, 418, b"{}").startswith("418")


@pytest.mark.skipif(sys.platform != "linux", reason="memory of another process is read as Linux gives it")
def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    soak(0.02, 8, every=0.1, rest=0.1)
    printed = capsys.readouterr().out
    assert "8 streams at once for 0.02 minutes" in printed
    assert "; 0 were not as they have to be" in printed
    assert "answered" in printed
    assert "left" not in printed.splitlines()[-1].replace("nothing is left", "")


def test_what_holds_memory_is_named_with_its_callers() -> None:
    tracemalloc.start(2)
    try:
        held = bytearray(3_000_000)
        first = inside.top()[0]
    finally:
        tracemalloc.stop()
    assert len(held) == 3_000_000
    assert re.match(r" +3\.0 MB in +[0-9]+  tests/test_soaking\.py:[0-9]+ < ", first), first
