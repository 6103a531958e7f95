"""The page that never ends: many look, one computes, and who does not read is dropped."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from addons.pages import feed as module
from addons.pages.feed import MOST_UNSENT, MOST_VIEWERS, Feed, Message
from tests.addons.entries import ended
from tests.addons.pages.bench import Bench


class Source:
    """Counts how often it was asked."""

    def __init__(self, often: int = 0) -> None:
        """`asked_often` is set when it was asked so `often`."""
        self.asked, self._often = 0, often
        self.asked_often = asyncio.Event()

    def first(self) -> Iterator[Message]:
        yield Message("first", self.asked)

    def changes(self) -> Iterator[Message]:
        self.asked += 1
        if self.asked == self._often:
            self.asked_often.set()
        yield Message("change", self.asked)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK", 0.001)


async def next_of(messages: AsyncGenerator[bytes, None]) -> str:
    return (await asyncio.wait_for(anext(messages), 15)).decode()


async def test_nothing_is_computed_while_nobody_looks(quick: None) -> None:
    source = Source()
    feed = Feed(source.first, source.changes)
    assert source.asked == 0
    async with aclosing(feed.messages()) as messages:
        assert await next_of(messages) == "event: first\ndata: 0\n\n"
        assert (await next_of(messages)).startswith("event: change")
    (looking,) = [task for task in asyncio.all_tasks() if task.get_name() == "pages"]
    await asyncio.wait_for(looking, 15)  # it ends by itself


async def test_all_who_look_get_the_same_of_one_look(quick: None) -> None:
    source = Source()
    feed = Feed(source.first, source.changes)
    async with aclosing(feed.messages()) as one, aclosing(feed.messages()) as two:
        await next_of(one)
        await next_of(two)
        assert [await next_of(one) for _ in range(3)] == [await next_of(two) for _ in range(3)]
    feed.close()


async def test_who_does_not_read_is_dropped(quick: None) -> None:
    source = Source(often=2 * MOST_UNSENT)
    feed = Feed(source.first, source.changes)
    async with aclosing(feed.messages()) as slow:
        await next_of(slow)
        await asyncio.wait_for(source.asked_often.wait(), 15)
        found = [data async for data in slow]
    assert len(found) == MOST_UNSENT
    feed.close()


async def test_the_end_of_the_proxy_ends_all(quick: None) -> None:
    feed = Feed(lambda: [Message("first", 0)], lambda: ())
    async with aclosing(feed.messages()) as messages:
        await next_of(messages)
        feed.close()
        assert [data async for data in messages] == []


async def test_only_so_many_may_look_at_once() -> None:
    feed = Feed(lambda: [Message("first", 0)], lambda: ())
    viewers = [feed.messages() for _ in range(MOST_VIEWERS)]
    for each in viewers:
        await next_of(each)
    assert [data async for data in feed.messages()] == []
    for each in viewers:
        await each.aclose()
    feed.close()


async def test_a_comment_shows_that_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 0.001)
    feed = Feed(lambda: [Message("first", 0)], lambda: ())
    async with aclosing(feed.messages()) as messages:
        await next_of(messages)
        assert (await next_of(messages)).startswith(":")
    feed.close()


class Stuck:
    """A sink whose client reads nothing."""

    def __init__(self) -> None:
        self.kept, self.did = bytearray(b"shown to nobody"), list[str]()

    def start(self, status: int, reason: bytes, headers: object) -> bool:
        self.did.append(f"start {status}")
        return True

    def send(self, data: bytes) -> bool:
        self.did.append("send")
        return False

    async def drained(self) -> None:
        await asyncio.Event().wait()

    def abort(self, message: str) -> None:
        self.did.append(f"abort: {message}")

    def end(self) -> None:
        self.did.append("end")


async def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.001)
    feed, stuck = Feed(lambda: [Message("first", 0)], lambda: ()), Stuck()
    await asyncio.wait_for(feed.answer(stuck), 15)  # type: ignore[arg-type]  # the part of it that is used
    assert stuck.did == ["start 200", "send", "abort: the viewer does not read"]
    assert stuck.kept == b""
    feed.close()


def said(data: str) -> list[tuple[str, Any]]:
    found = []
    for block in filter(None, data.split("\n\n")):
        event, _, text = block.partition("\n")
        found.append((event.removeprefix("event: "), json.loads(text.removeprefix("data: "))))
    return found


async def test_a_page_gets_all_and_then_what_is_new(quick: None) -> None:
    bench = Bench(openai=["one"])
    bench.recent.take([ended(call="before")])
    async with aclosing(bench.pages.feed.messages()) as messages:
        (hello, status, ends) = said(await next_of(messages))
        assert hello == ("hello", {"bins": {"shortest": 0.05, "growth": 1.25}})
        assert status[1]["providers"]["openai"]["credentials"][0]["name"] == "one"
        assert [each["call"] for each in ends[1]["calls"]] == ["before"]
        await next_of(messages)  # the first look finds all of it new
        bench.recent.take([ended(call="after")])
        (found,) = said(await next_of(messages))
        assert (found[0], [each["call"] for each in found[1]["calls"]]) == ("ended", ["after"])
        bench.pool.cool("openai", "one", 60)
        (found,) = said(await next_of(messages))
        assert found[1]["providers"]["openai"]["credentials"][0]["state"] == "cooling"
    bench.pages.close()
