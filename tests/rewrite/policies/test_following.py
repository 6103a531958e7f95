"""Whether an attempt that is given up would be followed by another one."""

from dataclasses import replace

import pytest

from rewrite.policies.following import follows
from rewrite.values.outcome import Outcome, Stalled
from rewrite.values.timer import Timer
from tests.rewrite.histories import CUT, STALLED, history

SLOW = Stalled(Timer.THROUGHPUT, 10.0)


@pytest.mark.parametrize("outcome", [SLOW, CUT], ids=str)
@pytest.mark.parametrize(
    ("earlier", "acting", "others_wait", "now", "follows_on"),
    [
        (0, False, False, 1.0, True),
        (1, False, False, 2.0, True),
        (2, False, False, 3.0, False),
        (2, False, True, 3.0, True),
        (0, True, True, 1.0, False),
        (0, False, True, 500.0, True),
        (0, False, False, 500.0, False),
        (0, False, True, 591.0, False),
    ],
    ids="first second last group acting late late_alone too_late".split(),
)
def test_what_follows(
    outcome: Outcome, earlier: int, acting: bool, others_wait: bool, now: float, follows_on: bool
) -> None:
    so_far = history(*[("a", STALLED)] * earlier, ("a", outcome), acting=acting)
    so_far = replace(so_far, others_wait=others_wait)
    assert follows(so_far, now, next_on_auth=False) is follows_on
