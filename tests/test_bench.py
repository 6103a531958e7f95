"""What the benchmark says of its own rows; the measuring itself is no test."""

import pytest

from scripts.benchmark.report import TRANSLATED, Row, too_dear

EVENT, CALL = "short: CPU ms per event", "short: CPU ms per call"


@pytest.mark.parametrize(
    ("row", "dear"),
    [
        (Row(EVENT, {"rotator": [1, 1, 1], "translated": [2.9, 9, 1]}, TRANSLATED), []),
        (Row(EVENT, {"rotator": [1, 1, 1], "translated": [3, 9, 1]}, TRANSLATED), [EVENT]),
        (Row(CALL, {"rotator": [1], "translated": [9]}, TRANSLATED), []),
        (Row(EVENT, {"bare": [1], "rotator": [9]}), []),
        (Row(EVENT, {}, TRANSLATED), []),
    ],
    ids=["below", "above", "per call", "not translated", "nothing measured"],
)
def test_a_translated_event_may_cost_less_than_three_times_one_that_is_passed_on(
    row: Row, dear: list[str]
) -> None:
    assert too_dear([row]) == dear
