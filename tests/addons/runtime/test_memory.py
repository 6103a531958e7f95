"""Memory of calls that are over is given back."""

import gc
import weakref

from addons.runtime.memory import THRESHOLDS, clean, settle


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
