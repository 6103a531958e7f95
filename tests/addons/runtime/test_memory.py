"""Memory of calls that are over is given back."""

import ctypes
import gc
import subprocess
import sys
import weakref

import pytest

from addons.runtime.memory import THRESHOLDS, clean, settle
from tests.e2e.proxy import ROOT


class Held:
    """In a cycle of its own, as flows and their layers are."""

    def __init__(self) -> None:
        self.itself = self


def test_what_only_holds_itself_is_freed() -> None:
    gc.disable()
    try:
        held = weakref.ref(Held())
        assert held() is not None
        clean()
        assert held() is None
    finally:
        gc.enable()


def test_what_was_loaded_is_not_looked_through_again_and_all_rarely() -> None:
    before = gc.get_threshold()
    try:
        settle()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() == THRESHOLDS
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


BODIES = """
import resource, sys
from addons.runtime.memory import settle

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def call():
    held = [bytes([1]) * (1 << 20) for _ in range(3)]

if len(sys.argv) > 1:
    settle()
call()
call()
before = faults()
for _ in range(20):
    call()
print(faults() - before)
"""


def page_faults(*options: str) -> int:
    command = sys.executable, "-c", BODIES, *options
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc alone has mallopt")
def test_what_a_body_took_stays_for_the_next() -> None:
    assert page_faults() > 5_000
    assert page_faults("settled") < 1_000
