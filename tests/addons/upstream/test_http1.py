"""Requests as they are written, and answers as they are read, piece by piece. What is refused, and that both
are as h11 has them: test_answers.py beside the scripts."""

import gc
import time
import weakref
from collections.abc import Iterator

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.upstream.failure import CauseKind, Failure
from addons.upstream.http1 import LARGEST_HEAD, AnswerReader, request_head
from protocols.model.http import Head, Headers

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Name: Value\r\n\r\n"
CHUNKS = b"3\r\none\r\n003;x=y\r\ntwo\r\n0\r\nTrailer: x\r\n\r\n"


# Requests


def by_h11(method: str, target: bytes, host: str, headers: Headers, length: int) -> bytes | None:
    """As h11 writes what `request_head` says of framing; None where it refuses."""
    pairs = [
        (name, str(length) if name.lower() == "content-length" else value)
        for name, value in headers
        if name.lower() != "transfer-encoding"
    ]
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if "content-length" not in names and (length or method in ("POST", "PUT", "PATCH")):
        pairs.append(("Content-Length", str(length)))
    encoded = [(_bytes(name), _bytes(value)) for name, value in pairs]
    try:
        request = h11.Request(method=method, target=target, headers=encoded)
    except h11.LocalProtocolError:
        return None
    return h11.Connection(h11.CLIENT).send(request)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


NAMES = st.sampled_from(
    ["Host", "host", "Content-Length", "X-Y", "transfer-encoding", "Connection", "x:", ""]
)
TEXT = st.text(st.sampled_from("ab ,:\t\r\n\0\x0b\x7f\udce9é☃"), max_size=4)


@given(
    st.sampled_from(["GET", "POST", "PUT", "P@"]),
    st.sampled_from([b"/", b"/a b", b"/\xe9", b"", b"http://x/"]),
    st.lists(st.tuples(NAMES | TEXT, TEXT | st.sampled_from(["close", "keep-alive, Close"])), max_size=5),
    st.integers(0, 9),
)
def test_a_request_is_written_or_refused_as_by_h11(
    method: str, target: bytes, headers: list[tuple[str, str]], length: int
) -> None:
    expected = by_h11(method, target, "provider.test", tuple(headers), length)
    if expected is not None:
        assert request_head(method, target, "provider.test", tuple(headers), length).data == expected
        return
    with pytest.raises(Failure) as failure:
        request_head(method, target, "provider.test", tuple(headers), length)
    assert failure.value.cause.kind is CauseKind.PROTOCOL


def test_a_value_that_holds_another_header_is_refused() -> None:
    for pair in (("x", "a\r\nb: c"), ("x: a\r\nb", "c"), ("x", " a"), ("x", "a\n")):
        with pytest.raises(Failure):
            request_head("POST", b"/", "provider.test", (pair,), 0)


@pytest.mark.parametrize(
    ("value", "is_last"),
    [("close", True), ("keep-alive, Close", True), ("keep-alive", False), ("closed", False)],
)
def test_a_request_that_says_close_is_the_last(value: str, is_last: bool) -> None:
    assert request_head("GET", b"/", "provider.test", (("connection", value),), 0).is_last is is_last


# Answers


@pytest.mark.parametrize("cut", range(1, len(HEAD + CHUNKS)))
def test_an_answer_cut_anywhere(cut: int) -> None:
    reader, whole = AnswerReader("POST"), HEAD + CHUNKS
    body = reader.feed(whole[:cut]) + reader.feed(whole[cut:])
    assert reader.head == Head(200, (("Transfer-Encoding", "chunked"), ("X-Name", "Value")), "OK")
    assert (body, reader.is_over, reader.may_follow, reader.has_surplus) == (b"onetwo", True, True, False)


def test_an_answer_byte_by_byte_and_what_follows() -> None:
    reader = AnswerReader("POST")
    body = b"".join(reader.feed(bytes([byte])) for byte in HEAD + CHUNKS)
    assert (body, reader.is_over, reader.has_surplus) == (b"onetwo", True, False)
    assert reader.feed(b"\n") == b""
    assert reader.has_surplus


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_a_reader_is_free_without_the_collector() -> None:
    reader = AnswerReader("POST")
    assert reader.feed(HEAD + CHUNKS)
    left = weakref.ref(reader)
    del reader
    assert left() is None


def test_what_came_before_a_mistake_is_given() -> None:
    reader = AnswerReader("POST")
    assert reader.feed(HEAD + b"3\r\none\r\nx\r\n") == b"one"
    assert (reader.is_broken, reader.is_over) == (True, False)


@pytest.mark.parametrize(
    ("answer", "is_whole"),
    [
        (b"", False),
        (b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbody", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", True),
        (HEAD + CHUNKS[:-1], False),
        (HEAD + CHUNKS, True),
    ],
)
def test_where_an_answer_may_end_with_its_connection(answer: bytes, is_whole: bool) -> None:
    reader = AnswerReader("POST")
    if answer:
        reader.feed(answer)
    assert reader.feed_eof() is is_whole


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_an_answer_without_a_body_by_its_method(method: str) -> None:
    reader = AnswerReader(method)
    assert reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody") == b""
    assert (reader.is_over, reader.has_surplus) == (True, True)


TABS = b"\t" * (LARGEST_HEAD - 100)
WORDS = b"a\t" * (LARGEST_HEAD // 2 - 100)


@pytest.mark.parametrize("run", [TABS, WORDS, b"a" * len(TABS)], ids=["tabs", "words", "letters"])
@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nx:",
        b"HTTP/1.1 200 OK\r\nx: y",
        HEAD + b"5",
        HEAD + b"5;",
        HEAD + b"0\r\nx:",
    ],
)
@pytest.mark.parametrize("end", [b"", b"\0", b"\x0b\r\n\r\n", b"\n\n"])
def test_no_bytes_take_long(start: bytes, run: bytes, end: bytes) -> None:
    before = time.process_time()
    AnswerReader("POST").feed(start + run + end)
    assert time.process_time() - before < 0.5
