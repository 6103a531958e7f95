"""What came of a call, in one word."""

import pytest

from protocols.model.progress import Progress
from rewrite.records.verdict import Verdict, verdict_of
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Abandoned, Completed, Kind, Outcome, Rejected, Truncated, Unreachable

OK = Completed()
RATED, BUSY, BAD = Rejected(429, Kind.RATE), Rejected(503, Kind.SERVER), Rejected(400, Kind.REQUEST)
CUT, AWAY = Truncated("reset"), Unreachable("refused")


def over(end: str, *attempts: tuple[str, Outcome], target: int = 0, continued: bool = False) -> Summary:
    """A call that ended so, after attempts with these credentials, at the target of this index."""
    ended = tuple(Ended(at, name, what, 1.0) for at, (name, what) in enumerate(attempts, 1))
    return Summary(end, "", ended, Progress(), 0.0, 1.0, continued=continued, target=target)


@pytest.mark.parametrize(
    ("summary", "verdict"),
    [
        (over("completed", ("a", OK)), Verdict.OK),
        (over("completed"), Verdict.OK),
        (over("completed", ("a", CUT), ("a", OK)), Verdict.RETRIED),
        (over("completed", ("a", RATED), ("b", BUSY), ("a", OK)), Verdict.RETRIED),
        (over("completed", ("a", RATED), ("b", OK)), Verdict.SPARE),
        (over("completed", ("a", RATED), ("a", OK), target=1), Verdict.FALLBACK),
        (over("completed", ("a", OK), target=1), Verdict.FALLBACK),
        (over("completed", ("a", CUT), ("b", OK), continued=True), Verdict.CONTINUED),
        (over("completed", ("a", CUT), ("b", OK), target=1, continued=True), Verdict.CONTINUED),
        (over("truncated", ("a", CUT)), Verdict.TRUNCATED),
        (over("truncated", ("a", CUT), ("b", CUT), continued=True), Verdict.TRUNCATED),
        (over("failed", ("a", CUT)), Verdict.FAILED),
        (over("error", ("a", BUSY)), Verdict.FAILED),
        (over("rejected", ("a", AWAY)), Verdict.FAILED),
        (over("rejected", ("a", RATED), ("b", BUSY)), Verdict.FAILED),
        (over("rejected", ("a", Rejected(200, Kind.FOREIGN))), Verdict.FAILED),
        (over("rejected", ("a", BAD)), Verdict.REFUSED),
        (over("rejected", ("a", AWAY), ("a", RATED)), Verdict.REFUSED),
        (over("rejected"), Verdict.REFUSED),
        (over("refused"), Verdict.REFUSED),
        (over("abandoned", ("a", Abandoned())), Verdict.LEFT),
        (over("killed"), Verdict.LEFT),
    ],
)
def test_the_verdict(summary: Summary, verdict: Verdict) -> None:
    assert verdict_of(summary) is verdict
