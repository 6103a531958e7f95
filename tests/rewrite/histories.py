"""Calls so far, for the tests of policies."""

from protocols.model.call import Operation
from protocols.model.http import Headers, WireResponse
from rewrite.values.decision import Ended, History
from rewrite.values.outcome import Kind, Outcome, Rejected, Stalled, Truncated, Unreachable
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.rewrite.scenes import TERMS

STALLED = Stalled(Timer.FIRST_TOKEN, 60.0)
CUT = Truncated("reset")
LOST = Unreachable("reset")
AWAY = Unreachable("refused", connected=False)


def rejected(
    kind: Kind,
    status: int = 400,
    retry_after: float | None = None,
    body: bytes = b"no",
    headers: Headers = (),
) -> Rejected:
    return Rejected(status, kind, "no", retry_after, WireResponse(status, headers, body))


def history(
    *ended: tuple[str, Outcome],
    operation: Operation = Operation.GENERATE,
    pooled: bool = True,
    acting: bool = False,
    former: str | None = None,
    latest_start: float = 590.0,
) -> History:
    """Attempts by credential and outcome, which ended at seconds 1, 2, 3, ..."""
    attempts = tuple(
        Ended(number, credential, outcome, float(number))
        for number, (credential, outcome) in enumerate(ended, start=1)
    )
    return History(attempts, Limits(), operation, pooled, acting, former, latest_start, TERMS.jitter)
