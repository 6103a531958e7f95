"""Keys blacked out in bytes and redacted in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from addons.blackout import LONGEST_MEMORY, REDACTED, Blackout, Redactor

KEY = "sk-pool-number-one"
STARS = b"*" * len(KEY)


def test_lengths_stay() -> None:
    blackout = Blackout([SecretStr(KEY), SecretStr("other-key")])
    assert blackout.whole(b"a " + KEY.encode() + b" b other-key") == b"a " + STARS + b" b *********"
    assert blackout.headers([("x-a", f"is {KEY}"), ("x-b", "none")]) == (
        ("x-a", f"is {STARS.decode()}"),
        ("x-b", "none"),
    )


@given(
    st.lists(st.sampled_from([KEY.encode(), b"sk-", b"s", b"text ", b"sk-pool-number-on", b"\xff"])),
    st.data(),
)
def test_a_key_cut_anywhere_is_found(pieces: list[bytes], data: st.DataObject) -> None:
    """However the stream is cut: no key comes out, nothing else changes, nothing is lost."""
    stream = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    blackout = Blackout([SecretStr(KEY)])
    out = [blackout.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join([*out, blackout.rest()]) == stream.replace(KEY.encode(), STARS)


def test_what_cannot_begin_a_key_is_not_kept() -> None:
    blackout = Blackout([SecretStr(KEY)])
    assert blackout.feed(b"a frame\n\n") == b"a frame\n\n"
    assert blackout.feed(b"a sk-po") == b"a "
    assert blackout.feed(b"t") == b"sk-pot"
    assert blackout.rest() == b""


def test_a_secret_that_could_be_any_word_is_left() -> None:
    assert Blackout([SecretStr("abc"), SecretStr("")]).whole(b"abcdef") == b"abcdef"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"key {KEY}!", f"key {REDACTED}!"),
        ("sk-unknown-but-a-key", REDACTED),
        ("AIzaSyA-1234567890abcdefghij", REDACTED),
        ("Authorization: Bearer abc.def", f"Authorization: {REDACTED}"),
        ("GET /v1?key=hidden&a=1", f"GET /v1?key={REDACTED}&a=1"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.x-y", REDACTED),
        (
            "nothing to see: task-list-of-a-user, /v1?keys=2",
            "nothing to see: task-list-of-a-user, /v1?keys=2",
        ),
    ],
)
def test_text_for_people(text: str, redacted: str) -> None:
    redactor = Redactor()
    redactor.learn([SecretStr(KEY)])
    assert redactor.redact(text) == redacted


def test_the_oldest_secrets_are_forgotten_first() -> None:
    redactor = Redactor()
    redactor.learn([SecretStr("word-0"), SecretStr("word-1")])
    redactor.learn([SecretStr("word-0")])
    redactor.learn(SecretStr(f"other-{number}") for number in range(LONGEST_MEMORY - 1))
    assert redactor.redact("word-0 word-1") == f"{REDACTED} word-1"
