"""Every form in which a provider says when it may be asked again."""

from time import process_time

import pytest

from protocols.model.http import Headers
from protocols.model.wirejson import JsonObject
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER, clamped, duration, in_message, retry_after

NOW = 1_700_000_000.0
"""Tue, 14 Nov 2023 22:13:20 GMT."""


def info(delay: str) -> dict[str, object]:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return {"error": {"code": 429, "details": details}}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "700"}, 0.7),
        ({"Retry-After-MS": "0"}, 0.0),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": " 2.5 "}, 2.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 -0000"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:12:20 GMT"}, 0.0),
        ({"anthropic-ratelimit-requests-reset": "2023-11-14T22:13:50Z"}, 30.0),
        ({"anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:50+00:00"}, 30.0),
        ({"anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:50"}, 30.0),
        ({"x-ratelimit-reset-requests": "6ms"}, 0.006),
        ({"x-ratelimit-reset-tokens": "17.399999999s"}, 17.399999999),
        ({"x-ratelimit-reset-tokens": "1m3s"}, 63.0),
        ({"x-ratelimit-reset-requests": "1h0m0.5s"}, 3600.5),
        ({"x-ratelimit-reset-requests": "12"}, 12.0),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"X-RateLimit-Reset": "1700000030"}, 30.0),
        ({"x-ratelimit-reset": "1700000030000"}, 30.0),
        ({"ratelimit-reset": "50"}, 50.0),
    ],
)
def test_each_form(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(tuple(headers.items()), {}, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(("delay", "seconds"), [("48s", 48.0), ("48.939935699s", 48.939935699), ("", None)])
def test_retry_info_in_the_body(delay: str, seconds: float | None) -> None:
    assert retry_after((), info(delay), NOW) == (seconds and pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 20s.", 20.0),
        ("Please try again in 6m0s. Visit us.", 360.0),
        ("please retry in 5.2s", 5.2),
        ("Your quota will reset after 135h10m5s.", 486_605.0),
        ("Please retry after 7 seconds.", 7.0),
        ("Try again in 1 hour", 3600.0),
        ("It resets in 2d3h", 183_600.0),
        ("try again in 11.054s", 11.054),
        ("try again in a while", None),
        ("we retry in vain after 5s", None),
        ("try again in 20something", None),
        (f"try again in {'9' * 400}h", None),
        ("", None),
    ],
)
def test_what_a_message_says(message: str, seconds: float | None) -> None:
    expected = seconds and pytest.approx(seconds)
    assert in_message(message) == expected
    assert retry_after((), {"error": {"message": message}}, NOW) == expected
    assert retry_after((), {"error": message}, NOW) == expected


@pytest.mark.parametrize("value", [None, True, "", "soon", -1, float("nan"), 10**400, [], {}])
def test_numbers_of_a_body_that_say_nothing(value: object) -> None:
    metadata = {"headers": {"X-RateLimit-Reset": value}}
    error = {"resets_in_seconds": value, "resets_at": value, "metadata": metadata}
    assert retry_after((), {"error": error}, NOW) is None


def test_the_longest_of_all() -> None:
    headers: Headers = (("retry-after", "20"),)
    body: JsonObject = {"error": {"resets_at": NOW + 900, "message": "try again in 5s"}}
    assert retry_after(headers, body, NOW) == 20.0
    assert retry_after(headers, body, NOW, longest=True) == 900.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "nan", "inf", "1e999", "Tue, 99 Nov 2023"])
def test_what_says_nothing_is_skipped(text: str) -> None:
    headers = tuple((name, text) for name in ("retry-after-ms", "retry-after", "x-ratelimit-reset-tokens"))
    assert retry_after((*headers, ("anthropic-ratelimit-tokens-reset", text)), {}, NOW) is None


def test_the_first_that_speaks_wins() -> None:
    headers: Headers = (
        ("x-ratelimit-reset-tokens", "9s"),
        ("retry-after", "5"),
        ("retry-after-ms", "700"),
    )
    assert retry_after(headers, info("7s"), NOW) == 0.7
    assert retry_after(headers[:2], info("7s"), NOW) == 5.0
    assert retry_after(headers[:1], info("7s"), NOW) == 7.0
    assert retry_after(headers[:1], {}, NOW) == 9.0


def test_of_the_windows_the_used_up_ones_count() -> None:
    windows: Headers = (
        ("x-ratelimit-remaining-requests", "4999"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "40s"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        ("anthropic-ratelimit-input-tokens-reset", "2023-11-14T22:14:10Z"),
    )
    assert retry_after(windows, {}, NOW) == 50.0
    assert retry_after(windows[:4], {}, NOW) == 40.0


def test_where_no_window_is_said_to_be_used_up_the_soonest_counts() -> None:
    windows: Headers = (("x-ratelimit-reset-requests", "8s"), ("x-ratelimit-reset-tokens", "40s"))
    assert retry_after(windows, {}, NOW) == 8.0


def test_windows_can_be_left_out() -> None:
    windows: Headers = (("x-ratelimit-reset-requests", "8s"),)
    assert retry_after(windows, {}, NOW, windows=False) is None
    assert retry_after((*windows, ("retry-after", "5")), {}, NOW, windows=False) == 5.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3us", 3e-6), ("3µs", 3e-6), ("250ns", 2.5e-7), ("2m", 120.0), ("0s", 0.0), ("5 s", None), ("s", None)],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (seconds and pytest.approx(seconds))


def test_a_client_is_asked_to_wait_so_long_and_no_longer() -> None:
    assert (clamped(3.0), clamped(LONGEST_RETRY_AFTER + 1)) == (3.0, LONGEST_RETRY_AFTER)


@pytest.mark.parametrize(("stated", "waits"), [(0.0, 1.0), (3.0, 3.0), (9000.0, 1800.0)])
def test_a_key_waits_at_least_and_at_most(stated: float, waits: float) -> None:
    assert clamped(stated, 1.0, 1800.0) == waits


LONG = 60_000
"""Digits, as many as a header may have."""


@pytest.mark.parametrize("stated", ["9" * LONG, "9" * LONG + "x", "1h" * LONG, "9" * LONG + "h"])
def test_a_long_number_is_read_in_no_time(stated: str) -> None:
    """Else one answer stops all calls: measured, 115 s."""
    began = process_time()
    for name in ("retry-after", "x-ratelimit-reset", "x-ratelimit-reset-requests"):
        retry_after(((name, stated),), {}, NOW)
    retry_after((), info(stated), NOW)
    in_message(f"try again in {stated}")
    assert process_time() - began < 1.0


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 9999 00:00:00 +9999999999999999",
        "Mon, 01 Jan 10000 00:00:00 GMT",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_a_date_that_is_none_says_nothing(date: str) -> None:
    assert retry_after((("retry-after", date),), {}, NOW) is None
