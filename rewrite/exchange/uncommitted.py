"""What a call is answered with that no attempt was committed to: one whole answer."""

from dataclasses import dataclass

from protocols.base import WireProtocol
from protocols.model.errors import Fault
from protocols.model.http import Head
from rewrite.exchange.delivery import Over
from rewrite.exchange.waiting import Waiting
from rewrite.target.reading import Reading
from rewrite.values.decision import GiveUp
from rewrite.values.outcome import Outcome, Stalled, Truncated, describe
from rewrite.values.timeouts import OnTruncation


@dataclass(frozen=True, slots=True)
class Whole:
    """`told`: the bytes that the client gets; where it was promised a stream they say in their own way what
    the record has."""

    head: Head
    told: bytes
    over: Over


def refusal(given: GiveUp, protocol: WireProtocol, waiting: Waiting) -> Whole:
    """The provider's own answer as it was, or a fault of ours in the words of `protocol`."""
    answer = given.answer
    response = protocol.error(answer) if isinstance(answer, Fault) else answer
    words = given.words or (answer.message if isinstance(answer, Fault) else "the provider's own answer")
    head = Head(response.status, response.headers, response.reason)
    told, status = response.body, head.status
    if waiting.begun:
        told, status = waiting.told(answer), 200
    return Whole(head, told, Over("rejected", words, status, head, response.body))


def misfit(protocol: WireProtocol, waiting: Waiting) -> Whole:
    """Of a whole answer, where the client was promised a stream."""
    told = "the provider answered whole where a stream was asked for"
    fault = Fault(502, "upstream_error", told, should_retry=False)
    return refusal(GiveUp(fault), protocol, waiting)


def partial(current: Reading | None, outcome: Outcome, mode: OnTruncation) -> Whole | None:
    """What was gathered unseen of an answer that was cut for good: as "length" it says that it was. None
    where there is nothing to tell, or it is not wanted."""
    cut = isinstance(outcome, Truncated | Stalled) and mode is not OnTruncation.ERROR
    body = current.partial() if current and cut else b""
    if not current or not body:
        return None
    words, head = f"cut: {describe(outcome)}; ended with the protocol's length", current.head
    return Whole(head, body, Over("truncated", words, head.status, head, body))
