"""What can be wrong with bytes: whose fault it is decides the class. And the error that a client gets."""

from dataclasses import dataclass


class ProtocolError(ValueError):
    """Base of the faults below; the message names what was wrong, never the content of a credential."""


class MalformedRequest(ProtocolError):
    """The client's bytes are not what the protocol asks for. The provider is still asked: it answers 400."""


class MalformedStream(ProtocolError):
    """The provider's bytes cannot be framed at all."""


class Untranslatable(ProtocolError):
    """A request asks for what the protocol of its target cannot say. `field`: where, dotted, as the client
    wrote it (`tools[2].type`); the client gets a 400 that names it, and no provider is asked."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field


class InternalError(Exception):
    """A fault of ours whose text is made of names in our own code, so that it may be logged."""


NO_JSON = "an event of the provider's answer is no JSON"
"""Why a stream is malformed of which one event is none, where clients would fail on it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of our own making, for `WireProtocol.error`."""

    status: int
    """Of HTTP."""
    kind: str
    """One of `parts.ErrorKind` where a client's SDK has a word for it, else any word."""
    message: str
    """For the client to read."""
    retry_after: float | None = None
    """Seconds."""
    should_retry: bool = True
    """Whether SDKs are to ask again by themselves."""
