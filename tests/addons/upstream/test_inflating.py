"""Compressed requests beside other calls."""

import asyncio
import gzip

import pytest

from addons.upstream.inflating import TooLong, inflated

SIZE = 8 << 20


async def test_a_body_is_decoded_up_to_its_bound() -> None:
    packed = gzip.compress(bytes(SIZE))
    assert await inflated(packed, "gzip", SIZE) == bytes(SIZE)
    with pytest.raises(TooLong):
        await inflated(packed, "gzip", SIZE - 1)


@pytest.mark.parametrize("coding", ["gzip", "unknown"])
async def test_what_cannot_be_decoded_is_as_it_is(coding: str) -> None:
    assert await inflated(b"as it is", coding, SIZE) == b"as it is"


async def test_other_calls_continue_between_its_steps() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await inflated(gzip.compress(bytes(SIZE)), "gzip", SIZE)
    beside.cancel()
    assert turns >= SIZE >> 20
