"""Between mitmproxy's messages and ours."""

import gc
from collections.abc import Iterator

import pytest
from mitmproxy import http

from addons.mitm.messages import (
    check_without_cycles,
    fit,
    for_client,
    forwardable,
    head_for_client,
    headers_of,
    replaced,
    request_of,
    set_headers,
    without_hops,
)
from protocols.model.http import Head, Headers


def make_request(*fields: tuple[bytes, bytes]) -> http.Request:
    request = http.Request.make("POST", "https://api.openai.com/v1/x?a=1", b"body")
    request.headers = http.Headers(fields)
    return request


def test_the_head_of_an_answer_reaches_the_client_without_hops() -> None:
    headers = (("Connection", "close"), ("X-Odd", "caf\udce9"))
    status, reason, fields = head_for_client(Head(200, headers, "caf\udce9"))
    assert (status, reason, fields) == (200, b"caf\xe9", [(b"X-Odd", b"caf\xe9")])


def test_of_head_the_head_alone_is_sent() -> None:
    sent = fit(http.Response.make(403, "no", {"x-odd": "1"}), "HEAD")
    assert (sent.raw_content, sent.headers["content-length"], sent.headers["x-odd"]) == (b"", "2", "1")
    assert fit(http.Response.make(403, "no"), "GET").raw_content == b"no"


def test_any_header_bytes_survive_the_way_there_and_back() -> None:
    fields = ((b"X-Odd", bytes(range(128, 256))), (b"x-ODD", "caf\xe9".encode()), (b"x-odd", b""))
    request = make_request(*fields)
    set_headers(request, headers_of(request))
    assert request.headers.fields == fields


def test_what_others_do_to_a_flow_later_changes_nothing_of_its_request() -> None:
    request = make_request((b"Host", b"api.openai.com"), (b"A", b"1"))
    found = request_of(request)
    request.method, request.path, request.content = "PUT", "/elsewhere", b"another"
    request.headers["A"] = "2"
    assert (found.method, found.target, found.body) == ("POST", "/v1/x?a=1", b"body")
    assert found.headers == (("Host", "api.openai.com"), ("A", "1"))


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization"],
)
def test_what_belongs_to_one_connection_ends_here(name: str) -> None:
    assert without_hops((("A", "1"), (name, "x"), ("B", "2"))) == (("A", "1"), ("B", "2"))


def test_so_does_what_connection_lists() -> None:
    headers = (("X-Hop", "1"), ("Connection", "close, x-hop"), ("X-Stays", "2"))
    assert without_hops(headers) == (("X-Stays", "2"),)


@pytest.mark.parametrize("listed", ["Authorization", "x-api-key", "api-key, X-Goog-Api-Key", "HOST"])
def test_but_no_key_and_no_address(listed: str) -> None:
    headers = tuple((name.strip(), "x") for name in listed.split(","))
    assert without_hops((("Connection", f"close, {listed}"), *headers)) == headers


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        ((("Connection", "keep-alive"), ("TE", "trailers"), ("A", "1")), (("A", "1"),)),
        (
            (("Transfer-Encoding", "chunked"), ("Trailer", "x")),
            (("Transfer-Encoding", "chunked"), ("Trailer", "x")),
        ),
        (
            (("Connection", "transfer-encoding"), ("Transfer-Encoding", "chunked")),
            (("Transfer-Encoding", "chunked"),),
        ),
        (
            (("Connection", "keep-alive, Upgrade, x-b"), ("Upgrade", "WebSocket"), ("X-B", "1")),
            (("Connection", "Upgrade"), ("Upgrade", "WebSocket")),
        ),
        ((("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "x")), ()),
        ((("Proxy-Authorization", "Basic x"), ("Proxy-Connection", "close")), ()),
    ],
)
def test_what_mitmproxy_frames_and_switches_itself_stays(sent: Headers, forwarded: Headers) -> None:
    assert forwardable("GET", sent) == forwarded


def test_only_a_get_opens_a_websocket() -> None:
    assert forwardable("POST", (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("A", "1"))) == (
        ("A", "1"),
    )


def test_another_host_takes_the_same_place() -> None:
    assert replaced((("A", "1"), ("HOST", "x"), ("B", "2")), "host", "y:1") == (
        ("A", "1"),
        ("HOST", "y:1"),
        ("B", "2"),
    )


def test_what_belongs_to_a_provider_s_connection_ends_here() -> None:
    """A content-encoding that is still there was not undone, and the client has to know it."""
    headers = (
        ("Content-Length", "1"),
        ("X-A", "1"),
        ("content-encoding", "unknown"),
        ("Transfer-Encoding", "chunked"),
    )
    assert for_client(headers) == (("X-A", "1"), ("content-encoding", "unknown"))


# -- the types of a message's fields ----------------------------------------------------------------------


@pytest.fixture
def _ours() -> Iterator[None]:
    put_back = check_without_cycles()
    yield
    put_back()


def made() -> http.Response:
    return http.Response(b"HTTP/1.1", 200, b"OK", http.Headers(), None, None, 1, None)


def garbage() -> int:
    """What a message leaves behind that only the collector frees."""
    gc.collect()
    gc.disable()
    try:
        made()
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.usefixtures("_ours")
def test_a_message_is_made_without_leaving_a_cycle() -> None:
    assert garbage() == 0


def test_that_is_put_back() -> None:
    before = http.MessageData.__post_init__
    put_back = check_without_cycles()
    assert http.MessageData.__post_init__ is not before
    put_back()
    assert http.MessageData.__post_init__ is before
    assert garbage() > 0


def test_what_another_add_on_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_another(data: http.MessageData) -> None: ...

    put_back = check_without_cycles()
    monkeypatch.setattr(http.MessageData, "__post_init__", of_another)
    put_back()
    assert http.MessageData.__post_init__ is of_another


@pytest.mark.usefixtures("_ours")
@pytest.mark.parametrize("content", [7, bytearray(b"x")])
def test_a_field_of_a_wrong_type_is_refused_as_before(content: object) -> None:
    with pytest.raises(TypeError, match="for content"):
        http.Response(b"HTTP/1.1", 200, b"OK", http.Headers(), content, None, 1.0, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_ours")
def test_a_kind_of_message_that_is_not_known_is_checked_as_before() -> None:
    class Other(http.ResponseData):
        pass

    with pytest.raises(TypeError, match="for reason"):
        Other(b"HTTP/1.1", http.Headers(), None, None, 1.0, None, 200, "OK")  # type: ignore[arg-type]
    assert Other(b"HTTP/1.1", http.Headers(), None, None, 1.0, None, 200, b"OK").reason == b"OK"
