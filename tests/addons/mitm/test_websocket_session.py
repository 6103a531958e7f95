"""What a client sent and its session has not taken."""

import asyncio

import pytest

from addons.mitm import websocket_limits
from addons.mitm.websocket_session import MOST_WAITING, TextQueue


async def test_texts_are_taken_in_their_order() -> None:
    queue = TextQueue()
    queue.put("first")
    queue.put("second")
    assert [await queue.take(), await queue.take()] == ["first", "second"]


async def test_who_takes_from_an_empty_one_waits() -> None:
    queue = TextQueue()
    taking = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put("here")
    assert await taking == "here"


def test_it_has_room_for_so_many_and_for_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_limits, "LONGEST_MESSAGE", MOST_WAITING)
    queue = TextQueue()
    assert queue.has_room("x" * MOST_WAITING)
    assert not queue.has_room("x" * (MOST_WAITING + 1))
    for _ in range(MOST_WAITING):
        assert queue.has_room("")
        queue.put("")
    assert not queue.has_room("")
