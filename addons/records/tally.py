"""What a run of the proxy comes to, by credential."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rewrite.values.events import Summary
from rewrite.values.outcome import Outcome, Rejected


@dataclass(slots=True)
class _Served:
    """What one credential was used for."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Its attempts, by what came of them."""
    tokens_in: int = 0
    """Of the requests that it answered."""
    tokens_out: int = 0
    """Of its answers."""


class Tally:
    """Counts the calls of a run, and what came of their attempts, by credential."""

    def __init__(self) -> None:
        self._calls = 0
        self._served: dict[str, _Served] = {}

    def note(self, summary: Summary, credentials: list[str]) -> None:
        """A call is over; `credentials`: the provider/name of each of its attempts, in order."""
        self._calls += 1
        for ended, credential in zip(summary.attempts, credentials, strict=True):
            served = self._served.get(credential)
            if served is None:
                served = self._served[credential] = _Served()
            served.outcomes[_kind(ended.outcome)] += 1
        if credentials and (usage := summary.progress.usage):
            served = self._served[credentials[-1]]
            served.tokens_in += usage.input or 0
            served.tokens_out += usage.output or 0

    def outcomes(self) -> Mapping[str, Mapping[str, int]]:
        """How many attempts came to what, by the provider/name of their credential."""
        return {credential: served.outcomes for credential, served in self._served.items()}

    def lines(self) -> Iterator[str]:
        """Nothing where there was no call."""
        if self._calls:
            yield f"{self._calls} {'call' if self._calls == 1 else 'calls'}"
        for credential, served in sorted(self._served.items()):
            outcomes = ", ".join(f"{number} {kind}" for kind, number in served.outcomes.most_common())
            tokens = f"; tokens: {served.tokens_in} in, {served.tokens_out} out"
            yield f"{credential}: {outcomes}{tokens if served.tokens_in or served.tokens_out else ''}"


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return f"rejected ({outcome.status} {outcome.kind})"
    return type(outcome).__name__.lower()
