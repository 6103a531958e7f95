"""A client that waits for a stream which has not begun: shown life, if the user wants it.

The head that promises the stream goes out with the first heartbeat, so that what comes to nothing later can
only be told inside it. Attempts still follow one another unseen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from protocols.base import WireProtocol
from protocols.framing.sse import is_event_stream
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse, header
from protocols.model.parts import StreamError
from protocols.model.progress import Progress
from rewrite.translation.error_kinds import error_of, kind_of
from rewrite.values.events import CALL, Command, SendData, SendHeaders, SetTimer
from rewrite.values.timeouts import PATIENCE_MARGIN, UNKNOWN_PATIENCE, Timing
from rewrite.values.timer import Timer


@dataclass(slots=True)
class Waiting:
    """Until the commit point of one call of a client of `protocol`. `interval` in seconds, 0: never a beat;
    `begun`: the head went out."""

    call: Call
    protocol: WireProtocol
    interval: float
    beat: bytes
    begun: bool = False

    def watch(self) -> Iterator[Command]:
        if self.interval:
            yield SetTimer(CALL, Timer.HEARTBEAT_BEFORE_COMMIT, self.interval)

    def fired(self) -> Iterator[Command]:
        """The timer did, and the call is not committed: nothing has reached the client since it was set."""
        if not self.begun:
            self.begun = True
            kind = self.protocol.encoder(self.call).content_type
            yield SendHeaders(CALL, Head(200, (("content-type", kind),)))
        yield SendData(CALL, self.beat, beat=True)
        yield from self.watch()

    def patience(self, stated: float) -> float:
        """Seconds that the client waits where it says `stated`: what it waits for is a byte, and gets one.
        Not where it says how long all of it may take."""
        if not self.interval or header(self.call.headers, "x-server-timeout"):
            return stated
        return max(stated, UNKNOWN_PATIENCE - PATIENCE_MARGIN)

    def head(self, attempt: int, head: Head) -> Iterator[Command]:
        """The head of the answer, if none went out before it; else what it says is lost."""
        if not self.begun:
            yield SendHeaders(attempt, head)

    def told(self, answer: WireResponse | Fault) -> bytes:
        """The bytes that say inside the stream what `answer` would have said in its place."""
        if isinstance(answer, WireResponse) and self._is_stream(answer):
            return answer.body
        error = self._error(answer)
        return self.protocol.encoder(self.call).close((error,), Progress())

    def _is_stream(self, answer: WireResponse) -> bool:
        return answer.status < 300 and is_event_stream(Head(answer.status, answer.headers), self.call)

    def _error(self, answer: WireResponse | Fault) -> StreamError:
        if isinstance(answer, Fault):
            return StreamError(answer.kind, answer.message, status=answer.status)
        if answer.status < 300:
            return StreamError(
                "upstream_error", "the provider's answer is not one of this protocol", status=502
            )
        said = error_of(self.protocol, self.call, answer)
        return replace(said, type=kind_of(said, answer.status), status=answer.status, native=True)


def waiting(call: Call, protocol: WireProtocol, timing: Timing) -> Waiting:
    """Only a generation that is streamed, to a client whose protocol has a harmless heartbeat, has one."""
    beat = protocol.encoder(call).heartbeat()
    wanted = timing.heartbeat_before_commit and call.stream and call.operation is Operation.GENERATE
    return Waiting(call, protocol, timing.heartbeat if wanted and beat else 0.0, beat)
