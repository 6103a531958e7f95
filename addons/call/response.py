"""Where the answer of a call goes."""

from typing import Protocol

from addons.mitm.messages import bytes_of, fields_of
from protocols.model.http import WireResponse


class Response(Protocol):
    """Where an answer goes: the sink of the stream layer, or a turn of a WebSocket.

    What is written goes out in order, and nothing of it is lost.
    """

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        """Send the head; whether more may be sent before `drained` was waited for."""
        ...

    def send(self, data: bytes) -> bool:
        """Send body bytes; whether more may be sent before `drained` was waited for."""
        ...

    def end(self) -> None: ...

    def abort(self, message: str) -> None:
        """Break the answer; `message` says why."""
        ...

    async def drained(self) -> None:
        """Wait until the client has taken enough for more to be sent."""
        ...


def give(answer: WireResponse, response: Response) -> None:
    """An answer of ours, whole."""
    response.start(answer.status, bytes_of(answer.reason), fields_of(answer.headers))
    response.send(answer.body)
    response.end()
