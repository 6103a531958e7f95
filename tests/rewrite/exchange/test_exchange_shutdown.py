"""Conversations: the proxy ends before the call does, and its client gets an error that says so."""

from collections.abc import Sequence

import pytest

from rewrite.exchange.ending import PROXY_STOPPED
from rewrite.exchange.exchange import Exchange, State
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    Shutdown,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Abandoned
from rewrite.values.timer import Timer
from tests.playbook import ANY, Playbook, body_with, handled, over, status
from tests.rewrite.exchange.test_transitions import CUT, new
from tests.rewrite.scenes import (
    DONE,
    ROLE,
    SSE,
    calls,
    finishes,
    opened,
    play,
    says,
)

UNAVAILABLE = status(503, retry_after="1")


def answered_with_error(conversation: Playbook, attempt: int = 1) -> Playbook:
    conversation = conversation << SendHeaders(attempt, UNAVAILABLE)
    return conversation << SendData(attempt, body_with(PROXY_STOPPED))


def test_a_call_without_a_credential_may_be_asked_again() -> None:
    conversation = play() >> Start() << Acquire(1) >> NoneFree(1, 5.0) << ANY >> Shutdown()
    conversation = answered_with_error(conversation) << Report(over("rejected")) << EndResponse(1)
    assert conversation >> Acquired(1, "a")


@pytest.mark.parametrize(
    "so_far",
    [
        [],
        [UpstreamSent(1)],
        [UpstreamSent(1), UpstreamStarted(1, SSE)],
        [UpstreamSent(1), UpstreamStarted(1, SSE), UpstreamData(1, ROLE)],
    ],
    ids="connecting sent headers held".split(),
)
def test_an_answer_of_which_nothing_went_out_may_be_asked_for_again(so_far: list[Event]) -> None:
    conversation = play() >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    for each in so_far:
        conversation = conversation >> each
    conversation = conversation >> Shutdown() << CancelUpstream(1) << Release(1, Abandoned())
    conversation = answered_with_error(conversation)
    assert conversation << Report(over("rejected", "abandoned")) << EndResponse(1)


@pytest.mark.parametrize("said", [says(" there"), calls('{"a":', "weather")], ids=["text", "call"])
def test_a_stream_ends_with_an_error_of_its_protocol(said: bytes) -> None:
    """Never with "length", on which agents continue as if the model had said all it could."""
    conversation = opened(play()) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE) << SendData(1, ANY)
    conversation = conversation >> UpstreamData(1, said) << SendData(1, said)
    conversation = conversation >> Shutdown() << SendData(1, body_with('"error"', PROXY_STOPPED))
    conversation = conversation << CancelUpstream(1) << Release(1, Abandoned())
    conversation = conversation << Report(over("failed", "abandoned")) << EndResponse(1)
    assert conversation >> UpstreamData(1, says("late")) >> Shutdown()


@pytest.mark.parametrize(("last", "added"), [(DONE, b""), (finishes("stop"), DONE)], ids=["done", "finish"])
def test_a_stream_that_said_that_it_was_done_is_complete(last: bytes, added: bytes) -> None:
    conversation = opened(play()) >> UpstreamData(1, says("Hi")) << SendHeaders(1, SSE) << SendData(1, ANY)
    conversation = conversation >> UpstreamData(1, last) << SendData(1, last)
    conversation = (conversation if added else conversation << ANY) >> Shutdown()
    conversation = (conversation << SendData(1, added) if added else conversation) << CancelUpstream(1)
    conversation = conversation << Release(1, ANY)
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


def after(events: Sequence[Event]) -> Exchange:
    """One whose timers are all on, and whose cut answers are continued."""
    exchange = new()
    for event in events:
        handled(exchange, event, 0.0)
    return exchange


def test_a_client_that_was_promised_a_stream_gets_the_error_in_it() -> None:
    exchange = after([Start(), TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT), Acquired(1, "a")])
    conversation = Playbook(exchange) >> Shutdown() << CancelUpstream(1) << Release(1, Abandoned())
    conversation = conversation << SendData(1, body_with('"error"', PROXY_STOPPED))
    assert conversation << Report(over("rejected", "abandoned")) << EndResponse(1)


@pytest.mark.parametrize(
    "since",
    [
        [],
        [NoneFree(2, 1.0)],
        [Acquired(2, "b")],
        [Acquired(2, "b"), UpstreamSent(2), UpstreamStarted(2, SSE)],
        [Acquired(2, "b"), UpstreamClosed(2, "refused", connected=False)],
    ],
    ids="acquiring waiting connecting continuing backing-off".split(),
)
def test_an_answer_whose_rest_is_asked_for_ends_with_an_error(since: list[Event]) -> None:
    exchange = after([*CUT, *since])
    sent = [each.data for each in handled(exchange, Shutdown(), 1.0) if isinstance(each, SendData)]
    assert [PROXY_STOPPED.encode() in data for data in sent] == [True]
    assert exchange.state is State.OVER
