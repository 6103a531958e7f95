"""The timers of a call, and what each waits for."""

from enum import StrEnum


class Timer(StrEnum):
    """The first five end an attempt: by a silence, or because it was too slow. The others do not."""

    FIRST_EVENT = "first_event"
    """Not a byte of an answer came since the request had left."""
    FIRST_TOKEN = "first_token"
    """Nothing visible came of a stream."""
    THROUGHPUT = "throughput"
    """The first window of a stream was slow."""
    STALL = "stall"
    """Nothing more came of a stream."""
    RESPONSE = "response"
    """A whole answer is not complete."""
    LINGER = "linger"
    """The last frame came, and the connection is still open."""
    BACKOFF = "backoff"
    """The pause before the next attempt is over."""
    HOLD = "hold"
    """The client will soon give up on a head."""
    HEARTBEAT = "heartbeat"
    """The client got nothing of a stream for a while."""
    HEARTBEAT_BEFORE_COMMIT = "heartbeat_before_commit"
    """The same of a stream that has not begun."""
