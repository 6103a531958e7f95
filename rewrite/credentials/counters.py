"""What each of several proxies has counted of one and the same thing. Pure.

A proxy says how much it has counted in all, and never how much more: said twice it counts once, and what was
used is the sum over all proxies.
"""

from collections.abc import Callable, Iterator

from rewrite.credentials.entries import Key

type Total = tuple[Key, str, float]
"""What is counted, the id of the proxy that counted it, and how much in all."""


class Counters:
    """As far as one proxy knows. `own` is its id."""

    def __init__(self, own: str) -> None:
        self.own = own
        self._totals: dict[Key, dict[str, float]] = {}

    def totals(self) -> Iterator[Total]:
        for key, by_proxy in [*self._totals.items()]:
            yield from ((key, proxy, total) for proxy, total in [*by_proxy.items()])

    def has(self, key: Key) -> bool:
        """Whether this proxy counted some of it."""
        return self.own in self._totals.get(key, ())

    def counted(self, key: Key, more: float) -> Total:
        """This proxy counted so much more, or less; gives what that comes to."""
        known = self._totals.setdefault(key, {})
        known[self.own] = known.get(self.own, 0.0) + more
        return key, self.own, known[self.own]

    def heard(self, key: Key, proxy: str, total: float) -> float:
        """Another one has counted so much; gives how much more that is than was known."""
        known = self._totals.setdefault(key, {})
        before, known[proxy] = known.get(proxy, 0.0), total
        return total - before

    def forget(self, is_over: Callable[[Key], bool]) -> list[Total]:
        """Without what is over; gives that."""
        over = [each for each in self.totals() if is_over(each[0])]
        for key, _, _ in over:
            self._totals.pop(key, None)
        return over

    def rename(self, named: Callable[[Key], Key | None], *, others: bool = True) -> None:
        """What is counted has another name now; None: it is counted no more. Without `others` it has to be
        heard from them again."""
        former, self._totals = [*self.totals()], {}
        for key, proxy, total in former:
            name = named(key)
            if name is not None and (others or proxy == self.own):
                self._totals.setdefault(name, {})[proxy] = total
