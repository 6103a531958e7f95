"""What points back at the proxy."""

import socket

import pytest

from addons.mitm.guard import points_at_us

PORTS = {8080, 8081}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "127.0.0.1",
        "127.255.0.3",
        "127.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "0",
        "0.0.0.0",
        "[::1]",
        "::1",
        "::",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
        socket.gethostname(),
    ],
)
async def test_every_name_of_this_machine_is_known(host: str) -> None:
    assert await points_at_us(host, 8080, PORTS)
    assert not await points_at_us(host, 8082, PORTS)


@pytest.mark.parametrize(
    "host", ["no-such-name.invalid", "192.0.2.1", "12.7.0.1", "::2", "localhost.invalid", "x" * 300]
)
async def test_others_are_not(host: str) -> None:
    assert not await points_at_us(host, 8080, PORTS)
