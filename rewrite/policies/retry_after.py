"""When a provider says that it may be asked again: every form in which that is said, as seconds from now.

Sources, the first that speaks wins: `retry-after-ms` (Azure, OpenAI), `retry-after` (seconds or an HTTP
date), the windows of an Anthropic subscription that are rejected (unix seconds), google.rpc.RetryInfo and
ErrorInfo in the body, `resets_in_seconds` and `resets_at` (ChatGPT), `X-RateLimit-Reset` among the metadata
(OpenRouter, unix milliseconds), the resets of rate windows in the headers (RFC 3339, Go durations such as
`6ms` or `1m3s`, seconds from now, unix time), and the message ("try again in 6m0s").

A wait is `clamped` before a client is asked to keep it, or a key is not used for so long.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from protocols.model.http import Headers, header
from protocols.model.wirejson import JsonObject, object_at, objects_at, text_at

LONGEST_RETRY_AFTER = 60.0
"""Seconds that a client may be asked to wait. Measured: the anthropic SDK sleeps on any Retry-After, 200 s
too, and the openai SDK gives up for good above 120 s."""

_DURATION_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_DURATION = r"\d++(?:\.\d++)?(?:ns|us|µs|ms|s|m|h|d)"
"""Digits are never given back: looking for other ends of them takes minutes in a long header."""
_LONGEST_DURATION = 64
"""Characters."""
_DURATIONS = re.compile(rf"(?:{_DURATION})+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_RESET = re.compile(r"^(?:(anthropic-ratelimit-.+)-reset|x-ratelimit-reset-(.+))$", re.IGNORECASE)
_OF_ALL = "anthropic-ratelimit-unified-"
_UNIFIED = re.compile(rf"^{_OF_ALL}((?!overage)[^-]+-)?status$", re.IGNORECASE)
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")
"""Of the one window that there is."""

_IN_MESSAGE = re.compile(
    r"\b(?:again|retry|resets?) (?:in|after) "
    rf"(?:((?:{_DURATION})+)\b|(\d+(?:\.\d+)?) (second|minute|hour|day)s?\b)"
)
_WORDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

_UNIX, _UNIX_MILLISECONDS = 1e9, 1e12
"""From these on a number is a moment, and no time from now."""


def retry_after(
    headers: Headers,
    body: JsonObject,
    now: float,
    *,
    windows: bool = True,
    retry_info: bool = True,
    longest: bool = False,
) -> float | None:
    """Seconds until the provider may be asked again, or None if it does not say; `now` is epoch seconds.

    `windows`: whether the resets of rate windows say so. Providers send them with every answer, so they
    say something of a rate limit alone. `retry_info`: whether google.rpc.RetryInfo does. `longest`: the
    longest of all that is said.
    """
    error = object_at(body, "error") or body
    said = (
        *_in_wait_headers(headers, now),
        _rejected_windows(headers, now),
        _retry_info(error) if retry_info else None,
        *_in_body(error, now),
        _window_reset(headers, now) if windows else None,
        in_message(text_at(error, "message") or _text(body.get("error"))),
    )
    stated = [seconds for seconds in said if seconds is not None]
    return max(stated, default=None) if longest else next(iter(stated), None)


def clamped(wait: float, shortest: float = 0.0, longest: float = LONGEST_RETRY_AFTER) -> float:
    """`wait` between both, in seconds; unless they are given, between those of a client."""
    return min(max(wait, shortest), longest)


def in_message(message: str) -> float | None:
    """Seconds that a message for a reader names."""
    found = _IN_MESSAGE.search(message)
    if found is None:
        return None
    parts, number, unit = found.groups()
    return duration(parts) if parts else _number(float(number) * _WORDS[unit])


def duration(text: str) -> float | None:
    """A Go duration (`1m3s`, `17.39s`, `6ms`) or bare seconds, in seconds."""
    if len(text) <= _LONGEST_DURATION and _DURATIONS.fullmatch(text):
        return _number(sum(float(n) * _DURATION_UNITS[unit] for n, unit in _DURATION_PART.findall(text)))
    return _number(text)


def _in_wait_headers(headers: Headers, now: float) -> Iterator[float | None]:
    milliseconds = _number(header(headers, "retry-after-ms"))
    yield None if milliseconds is None else milliseconds / 1000
    stated = header(headers, "retry-after")
    seconds = _number(stated)
    yield _until(_http_date(stated), now) if seconds is None and stated else seconds


def _in_body(error: JsonObject, now: float) -> Iterator[float | None]:
    for detail in objects_at(error, "details"):
        metadata = object_at(detail, "metadata")
        yield duration(text_at(metadata, "quotaResetDelay"))
        yield _until(_rfc3339(text_at(metadata, "quotaResetTimeStamp")), now)
    yield _number(error.get("resets_in_seconds"))
    yield _from_now(_number(error.get("resets_at")), now)
    passed_on = object_at(object_at(error, "metadata"), "headers")
    lowered = {name.lower(): value for name, value in passed_on.items()}
    yield next((_from_now(_number(lowered[name]), now) for name in _RESETS if name in lowered), None)


def _retry_info(error: JsonObject) -> float | None:
    for detail in objects_at(error, "details"):
        if text_at(detail, "@type").endswith("google.rpc.RetryInfo"):
            return duration(text_at(detail, "retryDelay"))
    return None


def _rejected_windows(headers: Headers, now: float) -> float | None:
    """The last reset of the windows of a subscription that are used up; that of what may be bought beside it
    says nothing."""
    statuses = ((_UNIFIED.match(name), value) for name, value in headers)
    rejected = [found[1] for found, value in statuses if found and value == "rejected"]
    resets = (_from_now(_number(header(headers, f"{_OF_ALL}{each or ''}reset")), now) for each in rejected)
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _window_reset(headers: Headers, now: float) -> float | None:
    """The reset of the windows that are used up; the soonest where none says that it is."""
    windows = list(_windows(headers, now))
    used_up = [seconds for seconds, empty in windows if empty]
    if used_up:
        return max(used_up)
    return min((seconds for seconds, _ in windows), default=None)


def _windows(headers: Headers, now: float) -> Iterator[tuple[float, bool]]:
    for name, value in headers:
        if name.lower() in _RESETS:
            seconds, remaining = _from_now(duration(value), now), name[: -len("reset")] + "remaining"
        elif found := _RESET.match(name):
            anthropic, openai = found.groups()
            remaining = f"{anthropic}-remaining" if anthropic else f"x-ratelimit-remaining-{openai}"
            seconds = _until(_rfc3339(value), now) if anthropic else duration(value)
        else:
            continue
        if seconds is not None:
            yield seconds, _number(header(headers, remaining)) == 0


def _number(value: object) -> float | None:
    """Of a number, or of a text that is one; not below 0."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None


def _from_now(number: float | None, now: float) -> float | None:
    """Seconds from now, which `number` says as they are or as unix time."""
    if number is None or number < _UNIX:
        return number
    return max(0.0, (number / 1000 if number >= _UNIX_MILLISECONDS else number) - now)


def _until(moment: datetime | None, now: float) -> float | None:
    return None if moment is None else max(0.0, moment.timestamp() - now)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # of a year or a zone beyond all numbers
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rfc3339(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
