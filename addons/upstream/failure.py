"""Why an attempt's connection failed: foreign exceptions become these values where they are met, once."""

from dataclasses import dataclass
from enum import StrEnum


class CauseKind(StrEnum):
    """How an attempt's connection failed."""

    CONNECT = "connect"
    """No connection, or none through the upstream proxy."""
    REFUSED = "refused"
    """The upstream proxy does not let the request through: no time mends that."""
    TLS = "tls"
    DNS = "dns"
    CERTIFICATE = "certificate"
    """The provider's certificate is not trusted: no time mends that."""
    TIMEOUT = "timeout"
    """While connecting. Waiting for the answer has no limit here."""
    SENDING = "sending"
    """No progress while the request was sent."""
    RESET = "reset"
    """Closed or reset before the head of the answer, or reset inside the body."""
    INCOMPLETE = "incomplete"
    """An orderly close inside the body: a chunk, or less than Content-Length."""
    ENCODING = "encoding"
    """A compressed body that is corrupt, or that ends too early for its coding."""
    PROTOCOL = "protocol"
    """Not HTTP/1.1, or a request that cannot be written as such."""


_NEVER_CONNECTED = frozenset(
    {CauseKind.CONNECT, CauseKind.REFUSED, CauseKind.TLS, CauseKind.DNS, CauseKind.TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ended improperly."""

    kind: CauseKind
    text: str
    """One short line without content, headers or queries."""

    @property
    def connected(self) -> bool:
        """False where there was no connection yet, so that nothing was sent."""
        return self.kind not in _NEVER_CONNECTED

    @property
    def is_lasting(self) -> bool:
        """Whether a person has to act before there can be a connection."""
        return self.kind is CauseKind.REFUSED


class Failure(Exception):
    """The connection can do no more; `cause` says why."""

    def __init__(self, kind: CauseKind, text: str) -> None:
        super().__init__(text)
        self.cause = Cause(kind, text)
