"""The lock between processes: one has it at a time, and what nobody keeps alive is nobody's."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from addons.oauth import lock
from addons.oauth.lock import STALE, Busy, locked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".oauth_refresh.lock"


async def test_it_is_there_while_somebody_is_at_work(folder: Path) -> None:
    async with locked(folder, 0):
        assert await asyncio.to_thread(folder.is_dir)
    assert not await asyncio.to_thread(folder.exists)


async def test_one_has_it_at_a_time(folder: Path) -> None:
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with locked(folder, 10):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(8)))
    assert most == 1


async def test_one_that_another_keeps_alive_is_waited_for_in_vain(folder: Path) -> None:
    os.mkdir(folder)  # noqa: PTH102
    with pytest.raises(Busy):
        async with locked(folder, 0.1):
            pass
    assert await asyncio.to_thread(folder.is_dir)


@pytest.mark.parametrize("ago", [STALE + 5, -STALE - 5])
async def test_one_without_a_sign_of_life_is_taken(folder: Path, ago: float) -> None:
    """Also one that is from the future, as it is after the clock was set back: nobody will touch it."""
    os.mkdir(folder)  # noqa: PTH102
    os.utime(folder, (time.time() - ago,) * 2)
    async with locked(folder, 1):
        assert abs(time.time() - (await asyncio.to_thread(folder.stat)).st_mtime) < STALE
    assert await asyncio.to_thread(lambda: list(folder.parent.iterdir())) == []


async def test_its_owner_gives_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SIGN_INTERVAL", 0.01)
    async with locked(folder, 0):
        first = (await asyncio.to_thread(folder.stat)).st_mtime_ns
        for _ in range(1000):
            await asyncio.sleep(0.005)
            if (await asyncio.to_thread(folder.stat)).st_mtime_ns != first:
                return
    pytest.fail("no sign of life")


async def test_what_another_took_over_is_left_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SIGN_INTERVAL", 0.01)
    async with locked(folder, 0):
        os.utime(folder, (1, 1))
        await asyncio.sleep(0.1)
    assert await asyncio.to_thread(folder.is_dir)


async def test_what_was_done_under_it_is_done_though_it_cannot_be_removed(folder: Path) -> None:
    async with locked(folder, 0):
        await asyncio.to_thread((folder / "of-somebody").touch)
    assert await asyncio.to_thread(folder.is_dir)


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with locked(tmp_path / "none" / "lock", 0):
            pass
