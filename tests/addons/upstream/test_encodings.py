"""Every coding whole, byte by byte, cut anywhere, corrupt, and as a bomb."""

import gzip
import itertools
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from addons.upstream import encodings
from addons.upstream.encodings import (
    BROTLI_IS_BOUNDED,
    PIECE,
    ContentDecoder,
    DecodeError,
    beginning,
    content_decoder,
    steps,
)

TEXT = b'data: {"delta": "hello"}\n\n' * 200


def raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def brotli_bytes(data: bytes) -> bytes:
    return bytes(brotli.compress(data))


CASES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip, other case": (" X-GZIP ", gzip.compress),
    "two gzip members": ("gzip", lambda data: gzip.compress(data[:99]) + gzip.compress(data[99:])),
    "padded gzip": ("gzip", lambda data: gzip.compress(data) + b"\0" * 7),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli_bytes),
    "zstd": ("zstd", zstandard.compress),
    "two zstd frames": ("zstd", lambda data: zstandard.compress(data[:99]) + zstandard.compress(data[99:])),
    "list": ("deflate, identity ,br", lambda data: brotli_bytes(zlib.compress(data))),
    "identity": ("identity", lambda data: data),
}

COMPRESSED = [name for name in CASES if name != "identity"]


def fed(decoder: ContentDecoder | None, *chunks: bytes) -> bytes:
    assert decoder is not None
    return b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))


def started(encoding: str) -> ContentDecoder:
    decoder = content_decoder(encoding)
    assert decoder is not None
    return decoder


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("text", [TEXT, b"x", b""], ids=["long", "short", "empty"])
def test_whole_body(case: str, text: bytes) -> None:
    encoding, encode = CASES[case]
    decoder = started(encoding)
    assert fed(decoder, encode(text)) == text
    assert decoder.finished


@pytest.mark.parametrize("case", CASES)
def test_fed_byte_by_byte(case: str) -> None:
    encoding, encode = CASES[case]
    decoder = started(encoding)
    assert fed(decoder, *(bytes([byte]) for byte in encode(TEXT))) == TEXT
    assert decoder.finished


@pytest.mark.parametrize("case", [name for name in COMPRESSED if "two" not in name and "padded" not in name])
def test_every_truncation_is_unfinished_and_gives_a_prefix(case: str) -> None:
    encoding, encode = CASES[case]
    body = encode(TEXT)
    for length in range(1, len(body)):
        decoder = started(encoding)
        assert TEXT.startswith(fed(decoder, body[:length]))
        assert not decoder.finished, length


@pytest.mark.parametrize("case", ["two gzip members", "two zstd frames"])
def test_a_cut_second_member_is_unfinished(case: str) -> None:
    encoding, encode = CASES[case]
    decoder = started(encoding)
    fed(decoder, encode(TEXT)[:-1])
    assert not decoder.finished


@pytest.mark.parametrize("case", CASES)
def test_no_bytes_are_a_whole_body(case: str) -> None:
    decoder = started(CASES[case][0])
    assert decoder.finished
    assert fed(decoder, b"") == b""
    assert decoder.finished


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_corrupt_data(encoding: str) -> None:
    with pytest.raises(DecodeError):
        fed(content_decoder(encoding), b"\xff" * 100)


@pytest.mark.parametrize("case", COMPRESSED)
def test_bytes_after_the_end(case: str) -> None:
    encoding, encode = CASES[case]
    with pytest.raises(DecodeError):
        fed(content_decoder(encoding), encode(TEXT) + b"trailing")
    decoder = started(encoding)
    fed(decoder, encode(TEXT))
    with pytest.raises(DecodeError):
        fed(decoder, b"trailing")


@pytest.mark.parametrize("encoding", ["compress", "gzip, snappy", "gzip;q=1", "gzip, gzip, gzip, gzip, gzip"])
def test_unknown_codings_have_no_decoder(encoding: str) -> None:
    assert content_decoder(encoding) is None


def flushing_gzip() -> tuple[Callable[[bytes], bytes], str]:
    engine = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return lambda data: engine.compress(data) + engine.flush(zlib.Z_SYNC_FLUSH), "gzip"


def flushing_brotli() -> tuple[Callable[[bytes], bytes], str]:
    engine = brotli.Compressor()
    return lambda data: engine.process(data) + engine.flush(), "br"


def flushing_zstd() -> tuple[Callable[[bytes], bytes], str]:
    engine = zstandard.ZstdCompressor().compressobj()
    flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return lambda data: engine.compress(data) + engine.flush(flush), "zstd"


@pytest.mark.parametrize("flushing", [flushing_gzip, flushing_brotli, flushing_zstd])
def test_what_was_flushed_comes_out_at_once(
    flushing: Callable[[], tuple[Callable[[bytes], bytes], str]],
) -> None:
    encode, encoding = flushing()
    decoder = started(encoding)
    for event in (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"):
        assert fed(decoder, encode(event)) == event
        assert not decoder.finished


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        ("gzip", gzip.compress(bytes(20_000_000))),
        ("deflate", raw_deflate(bytes(20_000_000))),
        pytest.param(
            "br",
            brotli_bytes(bytes(20_000_000)),
            marks=pytest.mark.skipif(not BROTLI_IS_BOUNDED, reason="brotli before 1.2 takes no limit"),
        ),
        ("zstd", zstandard.ZstdCompressor(level=19).compress(bytes(20_000_000))),
        ("gzip, zstd", zstandard.compress(gzip.compress(bytes(20_000_000)))),
    ],
    ids=["gzip", "deflate", "br", "zstd", "list"],
)
def test_a_bomb_comes_in_bounded_pieces(encoding: str, bomb: bytes) -> None:
    sizes = [len(piece) for piece in started(encoding).feed(bomb)]
    assert sum(sizes) == 20_000_000
    assert 0 < min(sizes) <= max(sizes) <= PIECE


def test_a_zstd_window_beyond_the_web_s_limit_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=25, write_content_size=False)
    engine = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(DecodeError):
        fed(content_decoder("zstd"), engine.compress(TEXT) + engine.flush())


@given(st.sampled_from(list(CASES)), st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=6))
def test_chunks_cut_anywhere(case: str, text: bytes, cuts: list[int]) -> None:
    encoding, encode = CASES[case]
    body = encode(text)
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in itertools.pairwise(bounds)]
    decoder = started(encoding)
    assert fed(decoder, *chunks) == text
    assert decoder.finished


@pytest.mark.parametrize("case", CASES)
def test_a_whole_body_in_steps(case: str) -> None:
    encoding, encode = CASES[case]
    text = TEXT * 100
    assert b"".join(steps(encode(text), encoding)) == text
    is_bounded = encoding != "identity" and (encoding != "br" or BROTLI_IS_BOUNDED)
    largest = max(map(len, steps(encode(bytes(3 * PIECE)), encoding)))
    assert largest <= (PIECE if is_bounded else 3 * PIECE)


@pytest.mark.parametrize("case", COMPRESSED)
def test_a_body_that_ends_too_early_is_a_fault_after_its_steps(case: str) -> None:
    encoding, encode = CASES[case]
    with pytest.raises(DecodeError):
        list(steps(encode(TEXT)[:-9], encoding))


def test_the_beginning_of_a_body() -> None:
    packed = gzip.compress(bytes(10 * PIECE))
    assert beginning(packed, "gzip", 1) == bytes(PIECE)
    assert beginning(packed, "unknown", 1) == packed
    assert beginning(b"not packed", "gzip", 1) == b"not packed"


def test_layers_that_grow_between_one_another_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty members come to nothing, and would be decoded for ever."""
    monkeypatch.setattr(encodings, "_MOST_BETWEEN", PIECE)
    nothing = gzip.compress(b"") * (2 * PIECE // len(gzip.compress(b"")))
    with pytest.raises(DecodeError, match="grow"):
        list(steps(gzip.compress(nothing), "gzip, gzip"))


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_what_follows_an_end_that_falls_on_a_piece_s_end(size: int) -> None:
    assert fed(started("gzip"), gzip.compress(bytes(size)) + b"\0" * 7) == bytes(size)
    assert fed(started("gzip"), gzip.compress(bytes(size)) + gzip.compress(b"x")) == bytes(size) + b"x"
    with pytest.raises(DecodeError):
        fed(started("deflate"), zlib.compress(bytes(size)) + b"x")
