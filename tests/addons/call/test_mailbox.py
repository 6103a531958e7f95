"""The events of a call in order, merged where they arrived together, and bounded."""

import asyncio

from addons.call.mailbox import LARGEST, MOST_ENDS, Inbox
from rewrite.values.events import TimerFired, UpstreamClosed, UpstreamData, UpstreamSent
from rewrite.values.timer import Timer


async def test_data_that_arrived_together_is_one_event() -> None:
    inbox = Inbox()
    for event in (
        UpstreamSent(1),
        UpstreamData(1, b"a"),
        UpstreamData(1, b"b"),
        TimerFired(1, Timer.STALL),
        UpstreamData(1, b"c"),
        UpstreamData(2, b"d"),
        UpstreamClosed(2),
    ):
        inbox.put(event)
    assert await inbox.take() == [
        UpstreamSent(1),
        UpstreamData(1, b"ab"),
        TimerFired(1, Timer.STALL),
        UpstreamData(1, b"c"),
        UpstreamData(2, b"d"),
        UpstreamClosed(2),
    ]


async def test_one_event_is_taken_as_it_is() -> None:
    inbox = Inbox()
    event = UpstreamData(1, b"a")
    inbox.put(event)
    (taken,) = await inbox.take()
    assert taken is event


async def test_taking_waits_for_an_event() -> None:
    inbox = Inbox()
    taking = asyncio.ensure_future(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put(UpstreamSent(1))
    assert await taking == [UpstreamSent(1)]


async def test_a_full_inbox_makes_the_reader_wait() -> None:
    inbox = Inbox()
    inbox.put(UpstreamData(1, bytes(LARGEST - 1)))
    await inbox.room()
    inbox.put(UpstreamData(1, b"x"))
    assert inbox.is_full
    waiting = asyncio.ensure_future(inbox.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    (event,) = await inbox.take()
    await waiting
    assert isinstance(event, UpstreamData)
    assert len(event.data) == LARGEST
    assert not inbox.is_full


async def test_a_flood_of_tiny_frames_is_taken_in_pieces() -> None:
    inbox = Inbox()
    flood = b"\n" * (3 * MOST_ENDS)
    for event in (UpstreamData(1, b"x" * LARGEST), UpstreamData(1, flood), UpstreamClosed(1)):
        inbox.put(event)
    *pieces, closed = await inbox.take()
    assert closed == UpstreamClosed(1)
    data = [piece.data for piece in pieces if isinstance(piece, UpstreamData)]
    assert b"".join(data) == b"x" * LARGEST + flood
    assert max(piece.count(b"\n") for piece in data) <= MOST_ENDS
