"""How the pools of all providers do."""

from collections.abc import Callable, Mapping, Sequence

from addons.credentials.pool import Pool
from rewrite.credentials.status import pool_lines, pool_status, windows_status


class Overview:
    """Of one pool. `clock`: that of the pool."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool, self._clock = pool, clock

    def names(self) -> Mapping[str, tuple[str, ...]]:
        """The credentials of each provider that has some."""
        found = {
            name: tuple(one.name for one in state.credentials) for name, state in self._pool.states.items()
        }
        return {provider: names for provider, names in found.items() if names}

    def status(self) -> Mapping[str, object]:
        """All as plain data."""
        now, states = self._clock(), self._pool.states
        return {
            "providers": {name: pool_status(states[name], now) for name in self.names()},
            "waiting": len(self._pool.queues),
            "sessions": self._pool.conversations.sessions.count(now),
        }

    def windows(self, provider: str, name: str) -> Sequence[Mapping[str, object]]:
        """The limits of one credential, and how much of each is used, as `status` has them."""
        state, now = self._pool.states.get(provider), self._clock()
        found = [one for one in state.credentials if one.name == name] if state else ()
        return [use for one in found if state for use in windows_status(one, state.state(name), now)]

    def lines(self) -> list[str]:
        """The same for a reader."""
        now, states = self._clock(), self._pool.states
        return [line for name in self.names() for line in pool_lines(states[name], name, now)]
