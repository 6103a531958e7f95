"""What a client sent and its session has not taken."""

import asyncio

import pytest

from addons.mitm import websocket_limits
from addons.mitm.websocket_session import MOST_WAITING, Inbox


async def test_texts_are_taken_in_their_order() -> None:
    inbox = Inbox()
    inbox.put("first")
    inbox.put("second")
    assert [await inbox.take(), await inbox.take()] == ["first", "second"]


async def test_who_takes_from_an_empty_one_waits() -> None:
    inbox = Inbox()
    taking = asyncio.ensure_future(inbox.take())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put("here")
    assert await taking == "here"


def test_it_has_room_for_so_many_and_for_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_limits, "LONGEST_MESSAGE", MOST_WAITING)
    inbox = Inbox()
    assert inbox.has_room("x" * MOST_WAITING)
    assert not inbox.has_room("x" * (MOST_WAITING + 1))
    for _ in range(MOST_WAITING):
        assert inbox.has_room("")
        inbox.put("")
    assert not inbox.has_room("")
