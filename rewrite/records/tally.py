"""What came of all attempts of a run, by credential."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rewrite.values.events import Summary
from rewrite.values.outcome import Outcome, Rejected


@dataclass(slots=True)
class _Line:
    """`outcomes`: attempts by what came of them. `tokens_in`, `tokens_out`: of the answers that it gave."""

    outcomes: Counter[str] = field(default_factory=Counter)
    tokens_in: int = 0
    tokens_out: int = 0


class Tally:
    """Counts calls and their attempts."""

    def __init__(self) -> None:
        self._calls = 0
        self._lines: dict[str, _Line] = {}

    def note(self, summary: Summary, credentials: list[str]) -> None:
        """A call is over; `credentials`: the provider/name of each of its attempts, in order."""
        self._calls += 1
        for ended, credential in zip(summary.attempts, credentials, strict=True):
            self._lines.setdefault(credential, _Line()).outcomes[_kind(ended.outcome)] += 1
        if credentials and (usage := summary.progress.usage):
            served = self._lines[credentials[-1]]
            served.tokens_in += usage.input or 0
            served.tokens_out += usage.output or 0

    def lines(self) -> Iterator[str]:
        """Nothing where there was no call."""
        if self._calls:
            yield f"{self._calls} {'call' if self._calls == 1 else 'calls'}"
        for credential, line in sorted(self._lines.items()):
            outcomes = ", ".join(f"{number} {kind}" for kind, number in line.outcomes.most_common())
            tokens = f"; tokens: {line.tokens_in} in, {line.tokens_out} out"
            yield f"{credential}: {outcomes}{tokens if line.tokens_in or line.tokens_out else ''}"


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return f"rejected ({outcome.status} {outcome.kind})"
    return type(outcome).__name__.lower()
