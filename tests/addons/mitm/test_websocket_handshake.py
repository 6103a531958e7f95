"""Opening handshakes, good and bad."""

import pytest
from mitmproxy import http

from addons.mitm.websocket_handshake import Accepted, accept, agreed, is_handshake

GOOD = (
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def request(*headers: tuple[str, str], method: str = "GET") -> http.Request:
    fields = [(name.encode(), value.encode()) for name, value in headers]
    return http.Request.make(method, "https://api.openai.com/v1/responses", headers=fields)


def without(name: str) -> list[tuple[str, str]]:
    return [pair for pair in GOOD if pair[0] != name]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(*GOOD), True),
        (request(("Upgrade", "WebSocket")), True),
        (request(("Upgrade", "h2c, websocket")), True),
        (request(("Upgrade", "h2c")), False),
        (request(), False),
        (request(*GOOD, method="POST"), False),
    ],
)
def test_what_asks_for_a_websocket(asked: http.Request, expected: bool) -> None:
    assert is_handshake(asked) is expected


def test_the_answer_proves_that_the_key_was_read() -> None:
    # The key and the answer to it are those of RFC 6455, section 1.3.
    accepted = accept(request(*GOOD))
    assert isinstance(accepted, Accepted)
    assert accepted.answer.status_code == 101
    assert dict(accepted.answer.headers) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    }
    assert not accepted.extensions


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=15"),
        ("x-odd, permessage-deflate", "permessage-deflate"),
        ("x-odd", None),
        ("permessage-deflate; client_max_window_bits=many", None),
        ("permessage-deflate; client_max_window_bits=99", None),
    ],
)
def test_compression_is_agreed_on_where_it_is_offered(offer: str, agreed: str | None) -> None:
    accepted = accept(request(*GOOD, ("Sec-WebSocket-Extensions", offer)))
    assert isinstance(accepted, Accepted)
    assert accepted.answer.headers.get("sec-websocket-extensions") == agreed
    assert [each.enabled() for each in accepted.extensions] == [True] * bool(agreed)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (without("Sec-WebSocket-Version"), 426),
        ([*without("Sec-WebSocket-Version"), ("Sec-WebSocket-Version", "8")], 426),
        (without("Sec-WebSocket-Key"), 400),
        ([*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "garbage")], 400),
        ([*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==")], 400),
        ([*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "dGhlIHNhbX Bs ZSBub25jZQ==")], 400),
        ([*without("Sec-WebSocket-Key"), ("Sec-WebSocket-Key", "ü")], 400),
        (without("Connection"), 400),
    ],
)
def test_what_lacks_something_is_refused(headers: list[tuple[str, str]], status: int) -> None:
    answer = accept(request(*headers))
    assert isinstance(answer, http.Response)
    assert answer.status_code == status
    assert answer.headers.get("sec-websocket-version") == ("13" if status == 426 else None)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", 0),
        ("x-odd", 0),
        ("x-odd, permessage-deflate; server_max_window_bits=10", 1),
        ("permessage-deflate; server_max_window_bits=99", None),
        ("permessage-deflate; server_max_window_bits", None),
    ],
)
def test_what_a_server_agreed_on(said: str, found: int | None) -> None:
    answer = http.Response.make(101, b"", {"Sec-WebSocket-Extensions": said})
    extensions = agreed(answer)
    assert (extensions if extensions is None else len(extensions)) == found
