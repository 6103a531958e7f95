"""Ports that are taken."""

import socket

import pytest

from rotator.ports import free_port, is_taken


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert is_taken("127.0.0.1", port)
        assert free_port(port) != port
    assert not is_taken("127.0.0.1", port)
    assert free_port(port) == port


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host.invalid", "::2"])
def test_what_cannot_be_known_is_not_taken(host: str) -> None:
    assert not is_taken(host, 80)
