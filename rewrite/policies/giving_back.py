"""The provider's own words, given back when no attempt is left."""

from dataclasses import replace

from protocols.model.http import WireResponse
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER
from rewrite.values.decision import History
from rewrite.values.outcome import Rejected

_WAIT_HEADERS = frozenset({"retry-after", "retry-after-ms"})


def given_back(said: Rejected, history: History) -> WireResponse | None:
    """What the provider said, as it was, but for a long wait that holds no more.

    A client's own key that was asked once gets every word: nobody stands between it and its provider. With
    a pool, or after attempts of ours, the wait that the provider stated is that of one key and is no
    reason for the client to freeze: its next call may be served by another. Only a 429 and the server's
    faults state waits; any other 4xx is never touched.
    """
    answer = said.answer
    untouched = not history.pooled and len(history.ended) == 1
    if answer is None or untouched or not (said.status == 429 or said.status >= 500):
        return answer
    if said.retry_after is None or said.retry_after <= LONGEST_RETRY_AFTER:
        return answer
    kept = tuple(pair for pair in answer.headers if pair[0].lower() not in _WAIT_HEADERS)
    return replace(answer, headers=kept)
