"""Keys blacked out in bytes and redacted in text, and text of others as people may read it."""

import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from addons.secrets import redaction
from addons.secrets.printable import escaped
from addons.secrets.redaction import (
    FEW,
    LONGEST_LINE,
    LONGEST_MEMORY,
    LONGEST_NAME,
    LOOKS_LIKE_A_KEY,
    REDACTED,
    Blackout,
    Lines,
    Redactor,
    all_forms,
    forms,
    key_shaped,
    shortened,
    unquoted,
)
from protocols.model.http import Head

KEY = "sk-pool-number-one"
STARS = b"*" * len(KEY)


def test_lengths_stay() -> None:
    blackout = Blackout([SecretStr(KEY), SecretStr("another-key-here")])
    assert (
        blackout.whole(b"a " + KEY.encode() + b" b another-key-here")
        == b"a " + STARS + b" b ****************"
    )
    assert blackout.headers([("x-a", f"is {KEY}"), ("x-b", "none")]) == (
        ("x-a", f"is {STARS.decode()}"),
        ("x-b", "none"),
    )


def test_of_a_head_the_reason_and_the_headers_are_searched() -> None:
    head = Head(200, (("x-you-are", KEY), ("x-odd", "caf\udce9")), KEY)
    stars = STARS.decode()
    hidden = Head(200, (("x-you-are", stars), ("x-odd", "caf\udce9")), stars)
    assert Blackout([SecretStr(KEY)]).head(head) == hidden


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
    assert b"".join([*out, blackout.remainder()]) == stream.replace(KEY.encode(), STARS)


def test_what_cannot_begin_a_key_is_not_kept() -> None:
    blackout = Blackout([SecretStr(KEY)])
    assert blackout.feed(b"a frame\n\n") == b"a frame\n\n"
    assert blackout.feed(b"a sk-po") == b"a "
    assert blackout.feed(b"t") == b"sk-pot"
    assert blackout.remainder() == b""


def test_a_secret_that_could_be_any_word_is_left() -> None:
    """What every local server takes for a key is a word of answers, and of records."""
    words = [SecretStr(word) for word in ("", "abc", "EMPTY", "ollama", "fifteen-letters")]
    text = "abc EMPTY ollama fifteen-letters"
    assert Blackout(words).whole(text.encode()) == text.encode()
    redactor = Redactor()
    redactor.learn(words)
    assert redactor.redact(text) == text


@pytest.mark.parametrize(
    ("sent", "is_key"),
    [
        ("test", False),
        ("openai", False),
        ("not-needed-for-local-use", False),
        ("gpt-4o-mini-2024-07-18", False),
        ("chat.completion.chunk", False),
        ("You exceeded your current quota", False),
        ("gsk_0a1b2c3d4e5f", True),
        ("0123456789abcdef0123456789abcdef", True),
        ("123e4567-e89b-12d3-a456-426614174000", True),
        ("AbCdEfGhIjKlMnOpQrStUv", True),
    ],
)
def test_clients_teach_no_words(sent: str, *, is_key: bool) -> None:
    assert (key_shaped([SecretStr(sent)]) != []) is is_key


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"key {KEY}!", f"key {REDACTED}!"),
        ("sk-unknown-but-a-key", REDACTED),
        ("AIzaSyA-1234567890abcdefghij", REDACTED),
        ("Authorization: Bearer abc.def", f"Authorization: {REDACTED}"),
        ("GET /v1?key=hidden&a=1", f"GET /v1?key={REDACTED}&a=1"),
        ("GET /v1?API-Key=hidden&access_token=b", f"GET /v1?API-Key={REDACTED}&access_token={REDACTED}"),
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
    redactor.learn([SecretStr("some-word-of-many-0"), SecretStr("some-word-of-many-1")])
    redactor.learn([SecretStr("some-word-of-many-0")])
    redactor.learn(SecretStr(f"another-of-many-{number}") for number in range(LONGEST_MEMORY - 1))
    assert redactor.redact("some-word-of-many-0 some-word-of-many-1") == f"{REDACTED} some-word-of-many-1"


ODD = "sk/odd+key&<äöü>'s"


@pytest.mark.parametrize(
    "form",
    [
        b"sk/odd+key&<\xc3\xa4\xc3\xb6\xc3\xbc>'s",
        b"sk/odd+key&<\\u00e4\\u00f6\\u00fc>'s",
        b"sk\\/odd+key&<\\u00e4\\u00f6\\u00fc>'s",
        b"sk/odd+key\\u0026\\u003c\\u00e4\\u00f6\\u00fc\\u003e\\u0027s",
        b"sk%2Fodd%2Bkey%26%3C%C3%A4%C3%B6%C3%BC%3E%27s",
        b"sk%2fodd%2bkey%26%3c%c3%a4%c3%b6%c3%bc%3e%27s",
    ],
)
def test_a_key_is_found_as_it_is_written_in_json_and_urls(form: bytes) -> None:
    stars = b"*" * len(form)
    assert Blackout([SecretStr(ODD)]).whole(b"<" + form + b">") == b"<" + stars + b">"
    redactor = Redactor()
    redactor.keep([SecretStr(ODD)])
    assert redactor.redact(f"<{form.decode()}>") == f"<{REDACTED}>"
    blackout = Blackout([SecretStr(ODD)])
    assert blackout.feed(form[:5]) + blackout.feed(form[5:]) + blackout.remainder() == stars


def test_a_header_may_be_named_by_a_key_whose_capitals_are_lost() -> None:
    blackout = Blackout([SecretStr("sk-Pool-Number-One")])
    assert blackout.headers([("x-sk-pool-number-one", "a")]) == (("x-" + "*" * 18, "a"),)
    assert blackout.text("is sk-Pool-Number-One") == "is " + "*" * 18


def test_a_header_may_have_a_key_with_letters_of_any_script() -> None:
    odd = "ÄÖÜ-a-key-of-many-letters"
    ((name, value),) = Blackout([SecretStr(odd)]).headers([("x-you", odd)])
    assert (name, set(value)) == ("x-you", {"*"})


def test_a_key_is_found_between_pieces_that_are_only_looked_at() -> None:
    blackout = Blackout([SecretStr(KEY)])
    assert not blackout.finds(b"you are sk-pool-")
    assert blackout.finds(b"number-one")
    assert not Blackout([]).finds(b"anything")


def test_keys_of_clients_never_push_out_those_of_a_pool() -> None:
    redactor = Redactor()
    redactor.keep([SecretStr("the-key-of-the-pool-itself")])
    redactor.learn(SecretStr(f"some-key-of-a-client-{number:06}") for number in range(2 * LONGEST_MEMORY))
    clean = redactor.redact("the-key-of-the-pool-itself some-key-of-a-client-000399 and-more")
    assert clean == "[redacted] [redacted] and-more"


def test_a_new_key_is_redacted_at_once_and_the_longer_of_two_whole() -> None:
    redactor = Redactor()
    redactor.learn([SecretStr(KEY)])
    assert redactor.redact(f"{KEY}-and-more") == f"{REDACTED}-and-more"
    redactor.learn([SecretStr(f"{KEY}-and-more")])
    assert redactor.redact(f"{KEY}-and-more {KEY}") == f"{REDACTED} {REDACTED}"


def test_a_key_with_bytes_that_are_no_text_is_redacted() -> None:
    redactor = Redactor()
    redactor.learn([SecretStr("some-key-\udcff-of-a-client")])
    assert redactor.redact("is some-key-\udcff-of-a-client \udcff") == f"is {REDACTED} ?"


# -- the quick search, beside one of every text for every form ----------------------------------------------

SECRETS = [ODD, *(f"{Random(seed).randbytes(20).hex()}-{seed}" for seed in range(2 * FEW))]
PIECES = st.one_of(
    st.sampled_from([form.decode() for secret in SECRETS[:3] for form in forms(secret)]),
    st.sampled_from(SECRETS),
    st.sampled_from(SECRETS).map(lambda secret: secret[1:]),
    st.sampled_from(
        ["sk-", "AIza", "?key=", "&acceſſ_token=", "Bearer ", "\\", '"', "\x1b[2J", "é", "\ud800"]
    ),
    st.sampled_from(["eyJ", "eyJeyJ", "eyJhbGciOiJ", ".", ".e30.x"]),
    st.text("ab-_ 0", max_size=20),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)
FEW_OR_MANY = pytest.mark.parametrize("secrets", [SECRETS[:1], SECRETS[:10], SECRETS], ids=len)


def thoroughly(text: str, secrets: Iterable[str]) -> str:
    found = {form.decode() for secret in secrets for form in forms(secret)}
    pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
    text = re.sub(pattern, REDACTED, text).encode("utf-8", "replace").decode()
    return LOOKS_LIKE_A_KEY.sub(REDACTED, text)


def redactor_of(secrets: Iterable[str]) -> Redactor:
    redactor = Redactor()
    redactor.keep(map(SecretStr, secrets))
    return redactor


@FEW_OR_MANY
@given(TEXTS)
def test_a_quick_search_misses_no_secret(secrets: list[str], text: str) -> None:
    assert redactor_of(secrets).redact(text) == thoroughly(text, secrets)


def test_what_begins_like_a_token_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pattern would begin again at each of them, and read to the end of the run each time."""
    searched: list[str] = []

    class Pattern:
        def finditer(self, text: str) -> Iterable[re.Match[str]]:
            searched.append(text)
            return LOOKS_LIKE_A_KEY.finditer(text)

    monkeypatch.setattr(redaction, "LOOKS_LIKE_A_KEY", Pattern())
    text = "eyJ" * 300_000
    assert Redactor().redact(text) == text
    assert [each.count("eyJ") for each in searched] == [0]
    assert Redactor().redact(f"{text}.x") == REDACTED
    assert Redactor().redact(f"{text}, {text}.x") == f"{text}, {REDACTED}"


@FEW_OR_MANY
@given(st.lists(TEXTS, max_size=3), TEXTS)
def test_a_record_is_searched_as_one_text_and_misses_nothing(
    secrets: list[str], texts: list[str], model: str
) -> None:
    found = redactor_of(secrets).lines({"attempts": texts, "model": model, "seconds": 1.5})
    assert found == {
        "attempts": [escaped(shortened(thoroughly(each, secrets), LONGEST_LINE)) for each in texts],
        "model": escaped(shortened(thoroughly(model, secrets), LONGEST_NAME)),
        "seconds": 1.5,
    }


@FEW_OR_MANY
def test_a_secret_is_found_at_any_place_of_a_text(secrets: list[str]) -> None:
    redactor = redactor_of(secrets)
    for before in range(20):
        text = f"{'x' * before}{secrets[-1]} and more"
        assert redactor.redact(text) == f"{'x' * before}{REDACTED} and more"


@pytest.mark.parametrize("secrets", [SECRETS[:1], SECRETS], ids=len)
def test_what_holds_no_secret_stays_the_same_object(secrets: list[str]) -> None:
    """A record that is written as it is was searched as one text: a walk would have made another one."""
    record = {"model": "gpt-4o", "attempts": [{"outcome": "completed", "ended": 0.25}], "detail": None}
    assert redactor_of(secrets).lines(record) is record
    assert redactor_of(secrets).lines({**record, "detail": secrets[0]})["detail"] == REDACTED


def test_what_is_no_plain_data_is_redacted_all_the_same() -> None:
    itself: dict[str, object] = {"a": SECRETS[0], "b": b"bytes"}
    assert redactor_of(SECRETS[:1]).lines(itself) == {"a": REDACTED, "b": b"bytes"}


# -- text of others, as people may read it ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("gpt-5", "gpt-5"),
        ("naïve 模型 🙂", "naïve 模型 🙂"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("one\r\ncall=2", r"one\x0d\x0acall=2"),
        ("a\u202eb\u2028c\u2066d", r"a\u202eb\u2028c\u2066d"),
        ("\x7f\x9b1m", r"\x7f\x9b1m"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_what_a_terminal_obeys_is_escaped(text: str, clean: str) -> None:
    assert escaped(text) == clean


def test_what_is_missing_is_counted() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcdef... (1 more)"


def test_a_record_keeps_its_shape_and_has_bounds() -> None:
    record = {"model": "m" * 9_999, "words": "w" * 9_999, "n": 1, "attempts": [{"target": "t" * 9_999}]}
    clean = Redactor().lines(record)
    assert clean["n"] == 1
    assert len(clean["model"]) < LONGEST_NAME + 20  # type: ignore[arg-type]
    assert len(clean["words"]) < LONGEST_LINE + 20  # type: ignore[arg-type]
    assert clean["attempts"][0]["target"].startswith("t" * LONGEST_NAME + "...")  # type: ignore[index]
    assert list(Redactor().lines({"k" * 9_999: "v"})) == ["k" * LONGEST_NAME + "... (9799 more)"]


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("Invalid header line: b'x-api-key sk-1'", "Invalid header line: (not shown)"),
        ("illegal chunk header: bytearray(b'sk-1')", "illegal chunk header: (not shown)"),
        ('additional_data:b"it\'s sk-1">', "additional_data:(not shown)"),
        ("unknown transfer-encoding header: 'sk-1'", "unknown transfer-encoding header: (not shown)"),
        ("the client's stream was reset (CANCEL)", "the client's stream was reset (CANCEL)"),
    ],
)
def test_a_message_without_what_it_quotes(message: str, kept: str) -> None:
    assert unquoted(message) == kept


def test_each_record_of_a_logger_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.Logger("alone")  # noqa: LOG001  # nobody else's
    log.addFilter(Lines())
    log.addHandler(caplog.handler)
    log.warning("%s of %d: %s", "\x1b[2J", 3, "x" * 5_000)
    (record,) = caplog.records
    assert record.getMessage().startswith(r"\x1b[2J of 3: xxx")
    assert len(record.getMessage()) < LONGEST_LINE + 20


# -- more forms -----------------------------------------------------------------------------------------


@given(st.text(min_size=16, max_size=40), st.binary(max_size=4), st.binary(max_size=4))
def test_base64_of_a_secret_is_known_whatever_is_around_it(secret: str, before: bytes, after: bytes) -> None:
    data = before + secret.encode("utf-8", "surrogateescape") + after
    blackout = Blackout([SecretStr(secret)], all_forms)
    assert blackout.finds(b64encode(data))
    assert blackout.finds(urlsafe_b64encode(data))


def test_json_in_json_is_known() -> None:
    secret = 'sk/of "a" pool\\n'
    blackout = Blackout([SecretStr(secret)], all_forms)
    assert blackout.finds(json.dumps({"arguments": json.dumps({"key": secret})}).encode())
    assert not Blackout([SecretStr(secret)]).finds(b64encode(secret.encode()))


def test_each_part_of_a_pair_of_keys_is_a_secret() -> None:
    key = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG:short"
    redactor = Redactor()
    redactor.keep([SecretStr(key)])
    text = "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI%2FK7MDENG short"
    assert redactor.redact(text) == "[redacted] [redacted] short"
    assert Blackout([SecretStr(key)]).whole(b"=wJalrXUtnFEMI/K7MDENG;") == b"=" + b"*" * 21 + b";"


def test_base64_of_each_part_is_known_too() -> None:
    access, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG"
    for each in (access, secret):
        assert Blackout([SecretStr(f"{access}:{secret}")], all_forms).finds(b64encode(each.encode()))


def test_what_is_kept_of_answers_is_searched_for_all_forms() -> None:
    key, other = "pool/key+of=16 chars", "another-key-of-the-pool"
    redactor = Redactor()
    redactor.keep([SecretStr(key)])
    for text in (key, json.dumps(json.dumps({"k": key})), b64encode(f"user:{key}".encode()).decode()):
        assert redactor.holds_secret(f"state {text}"), text
    assert not redactor.holds_secret(other)
    redactor.keep([SecretStr(other)])
    assert redactor.holds_secret(b64encode(other.encode()).decode())
