"""What the config says of traces."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of traces is kept. The oldest calls go first."""

    max_bytes: int = 256 << 20
    """Bytes of all calls together, and so of one."""
    max_calls: int = 1000
    max_age: float = 7 * 24 * 3600.0
    """Seconds since a call began."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where traces go, and what is in them."""

    directory: Path | None = None
    """Where every call is traced to, unless its route says otherwise. None: only those calls are that a route
    or a command names, in a folder of the user's state."""
    signatures: bool = False
    """Whether signatures and encrypted reasoning are written as they are."""
    bounds: Bounds = field(default_factory=Bounds)
