"""The thread that writes: in turn, bounded, and never waited for."""

import threading
from functools import partial

from addons.records.writer import Writer

PATIENCE = 30


def test_work_is_done_in_turn_in_another_thread() -> None:
    done: list[object] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread()))

    writer = Writer(lambda: done.append("round over"), lambda _: None)
    for number in range(3):
        assert writer.put(partial(note, number), 1)
    assert writer.flush(PATIENCE)
    assert done[-1] == "round over"
    numbers, threads = zip(*[each for each in done if isinstance(each, tuple)], strict=True)
    assert numbers == (0, 1, 2)
    assert threading.current_thread() not in threads


def test_nothing_waits_where_the_queue_is_full() -> None:
    hold, done = threading.Event(), []
    writer = Writer(lambda: None, lambda _: None, largest=100)
    writer.put(lambda: hold.wait(PATIENCE), 60)
    assert writer.put(lambda: done.append("fits"), 40)
    assert not writer.put(lambda: done.append("too much"), 1)
    assert writer.put(lambda: done.append("keeps nothing"), 0)
    assert not writer.flush(0.0)
    hold.set()
    assert writer.flush(PATIENCE)
    assert done == ["fits", "keeps nothing"]
    assert writer.put(lambda: done.append("room again"), 100)


def test_what_fails_is_reported_and_the_next_is_done() -> None:
    failed: list[str] = []
    writer = Writer(lambda: 1 / 0, lambda error: failed.append(type(error).__name__))
    writer.put(lambda: int("no number"), 1)
    assert writer.flush(PATIENCE)
    assert failed == ["ValueError", "ZeroDivisionError"]


def test_rounds_end_though_work_never_does() -> None:
    ended = threading.Event()
    writer = Writer(ended.set, lambda _: None)

    def again() -> None:
        if not ended.is_set():
            writer.put(again, 0)

    writer.put(again, 0)
    assert ended.wait(PATIENCE)


def test_without_work_there_is_no_thread() -> None:
    before = threading.active_count()
    assert Writer(lambda: None, lambda _: None).flush(0.0)
    assert threading.active_count() == before
