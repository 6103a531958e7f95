"""Files that change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from addons.config.watch import Watch, signature

PATIENCE = 10.0


class Changes:
    """Counts, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[None] = asyncio.Queue()

    async def put(self) -> None:
        self.queue.put_nowait(None)

    async def next(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.queue.get()


@asynccontextmanager
async def watching(*paths: Path) -> AsyncIterator[Changes]:
    changes = Changes()
    watch = Watch(changes.put, interval=0.001)
    watch.files(paths)
    watch.start()
    yield changes
    watch.stop()


async def test_each_way_to_change_is_noticed_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    async with watching(one, two) as changes:
        one.write_text("ab")
        await changes.next()
        two.write_text("new")
        await changes.next()
        (tmp_path / "other").write_text("ab")
        (tmp_path / "other").replace(one)  # as editors save
        await changes.next()
        two.unlink()
        await changes.next()
        assert changes.queue.empty()


async def test_other_files_are_none_of_its_business(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    async with watching(one) as changes:
        other.write_text("x")
        one.write_text("x")
        await changes.next()
        assert changes.queue.empty()


async def test_it_stops(tmp_path: Path) -> None:
    async with watching(tmp_path / "one"):
        pass
    await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "_repeat" in repr(task)] == []


def test_a_signature_is_of_the_file_not_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "one"
    assert signature(path) is None
    path.write_text("a")
    first = signature(path)
    assert first == signature(path)
    path.chmod(0o640)
    assert first != signature(path), "a file that was refused for its mode is read again once that is mended"
    path.unlink()
    assert signature(tmp_path) is not None
