"""What is looked for in the first bytes of a connection."""

import pytest
from mitmproxy.addons.next_layer import NeedsMoreData
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context

from addons.mitm.client_http1 import LONGEST_HEAD
from addons.mitm.layers import named_host

HEAD = b"GET / HTTP/1.1\r\n"


@pytest.fixture
def context() -> Context:
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0)
    return Context(client, Options())


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (HEAD + b"A: b\r\nhOST: \t api.test:1 \r\n", "api.test:1"),
        (b"get / http/1.1\nhost:api.test\n", "api.test"),
        (HEAD + b"\r\nHost: of-the-body\r\n", None),
        (HEAD + b"A: b\r\n\r\n", None),
        (HEAD + b"A: " + b"b" * LONGEST_HEAD, None),
        (b"SSH-2.0-OpenSSH\r\nHost: a\r\n", None),
        (b"\x16\x03\x01", None),
        (b"", None),
    ],
)
def test_the_host_that_a_beginning_names(context: Context, data: bytes, host: str | None) -> None:
    assert named_host(context, data, b"") == host
    assert named_host(context, data, b"a greeting") is None


@pytest.mark.parametrize("data", [HEAD, b"GET / HTTP/1.1", HEAD + b"Host: api", HEAD + b"A: b\r\n\r"])
def test_a_head_that_is_not_all_here(context: Context, data: bytes) -> None:
    with pytest.raises(NeedsMoreData):
        named_host(context, data, b"")
