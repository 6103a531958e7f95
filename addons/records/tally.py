"""What a run of the proxy comes to, by credential."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from protocols.model.parts import Usage

type Attempted = tuple[str, str]
"""Of an attempt the provider/name of its credential, and what came of it in a word or few."""


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

    def note(self, attempts: Sequence[Attempted], usage: Usage | None) -> None:
        """A call is over. `usage`: what its answer stated, for which the last attempt stands."""
        self._calls += 1
        for credential, kind in attempts:
            served = self._served.get(credential)
            if served is None:
                served = self._served[credential] = _Served()
            served.outcomes[kind] += 1
        if attempts and usage:
            served = self._served[attempts[-1][0]]
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
