"""A credential that is taken for an attempt here, and that the store of several proxies is asked for."""

from collections.abc import Callable
from typing import Protocol

from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.sharing import Granted, Verdict


class Named(Protocol):
    """What a call gets in the end, by the name of its credential."""

    @property
    def name(self) -> str: ...


class Asking[L: Named]:
    """Of one attempt. Whoever gets it has to say `then`, at once."""

    def __init__(
        self,
        lease: L,
        ask: Callable[[Callable[[Verdict | None], None]], None],
        choose: Callable[[], "L | Unavailable | Asking[L]"],
        unwanted: Callable[[], None],
    ) -> None:
        """`lease` is what is asked for, by `ask`; where it is denied, `choose` finds another. `unwanted`
        gives it back where nobody waits for it any more."""
        self._lease, self._ask, self._choose, self._unwanted = lease, ask, choose, unwanted
        self._answer: Callable[[L | Unavailable], None] | None = None
        self._next: Asking[L] | None = None

    @property
    def name(self) -> str:
        """Of the credential that is asked for first."""
        return self._lease.name

    def then(self, answer: Callable[[L | Unavailable], None]) -> None:
        """`answer` gets what comes of it, later, unless somebody leaves before."""
        self._answer = answer
        self._ask(self._heard)

    def leave(self) -> None:
        """Nobody wants it any more."""
        self._answer = None
        if self._next is not None:
            self._next.leave()

    def _heard(self, verdict: Verdict | None) -> None:
        answer, self._answer = self._answer, None
        if isinstance(verdict, Granted):
            if answer is None:
                self._unwanted()
            else:
                answer(self._lease)
        elif answer is not None:
            self._choose_again(answer)

    def _choose_again(self, answer: Callable[[L | Unavailable], None]) -> None:
        found = self._choose()
        if isinstance(found, Asking):
            self._next = found
            found.then(answer)
        else:
            answer(found)
