"""Time that clocks are read in, which a test lets pass."""

from dataclasses import dataclass


@dataclass(slots=True)
class World:
    """Time that passes, and a wall clock that may be off by so much."""

    passed: float = 0.0
    off: float = 0.0

    def wall(self) -> float:
        return 1_000.0 + self.passed + self.off

    def steady(self) -> float:
        return self.passed
