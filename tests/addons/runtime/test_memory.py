"""Memory of calls that are over is given back, by the bytes and not by the number of calls."""

import gc
import weakref

from mitmproxy import http
from mitmproxy.test import tflow

from addons.runtime.memory import ENOUGH, Housekeeping, clean, freeze


class Held:
    """In a cycle of its own, as flows and their layers are."""

    def __init__(self) -> None:
        self.itself = self


def flow(size: int) -> http.HTTPFlow:
    made = tflow.tflow(resp=True)
    made.request.raw_content, made.response = b"", http.Response.make(200, b"x" * size)
    return made


def test_it_is_cleaned_up_when_enough_bytes_have_passed() -> None:
    times: list[None] = []
    housekeeping = Housekeeping(lambda: times.append(None))
    for _ in range(3):
        housekeeping.over(flow(ENOUGH // 4))
    assert times == []
    housekeeping.over(flow(ENOUGH // 4))
    assert len(times) == 1
    housekeeping.over(flow(ENOUGH // 4))
    assert len(times) == 1


def test_a_flow_without_an_answer_counts_its_request() -> None:
    times: list[None] = []
    left = tflow.tflow()
    left.request.raw_content = b"x" * ENOUGH
    Housekeeping(lambda: times.append(None)).over(left)
    assert len(times) == 1


def test_what_only_holds_itself_is_freed() -> None:
    gc.disable()
    try:
        held = weakref.ref(Held())
        assert held() is not None
        clean()
        assert held() is None
    finally:
        gc.enable()


def test_what_was_loaded_is_not_looked_through_again() -> None:
    try:
        freeze()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
