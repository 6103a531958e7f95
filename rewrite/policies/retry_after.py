"""When a provider says that it may be asked again: every form in which that is said, as seconds from now.

Sources, the first that speaks wins: `retry-after-ms` (Azure, OpenAI), `retry-after` (seconds or an HTTP
date), google.rpc.RetryInfo in the body, `anthropic-ratelimit-*-reset` (RFC 3339), `x-ratelimit-reset-*`
(Go durations such as `6ms` or `1m3s`, or plain seconds).

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

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_RESET = re.compile(r"^(?:(anthropic-ratelimit-.+)-reset|x-ratelimit-reset-(.+))$", re.IGNORECASE)


def retry_after(headers: Headers, body: JsonObject, now: float, *, windows: bool = True) -> float | None:
    """Seconds until the provider may be asked again, or None if it does not say; `now` is epoch seconds.

    `windows`: whether the resets of rate windows say so. Providers send them with every answer, so they
    say something of a rate limit alone.
    """
    milliseconds = _number(header(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    stated = header(headers, "retry-after")
    seconds = _number(stated)
    if seconds is None and stated:
        seconds = _until(_http_date(stated), now)
    reset = _window_reset(headers, now) if windows else None
    return next((s for s in (seconds, _retry_info(body), reset) if s is not None), None)


def clamped(wait: float, shortest: float = 0.0, longest: float = LONGEST_RETRY_AFTER) -> float:
    """`wait` between both, in seconds; unless they are given, between those of a client."""
    return min(max(wait, shortest), longest)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _until(moment: datetime | None, now: float) -> float | None:
    return None if moment is None else max(0.0, moment.timestamp() - now)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rfc3339(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _retry_info(body: JsonObject) -> float | None:
    for detail in objects_at(object_at(body, "error"), "details"):
        if text_at(detail, "@type").endswith("google.rpc.RetryInfo"):
            return duration(text_at(detail, "retryDelay"))
    return None


def duration(text: str) -> float | None:
    """A Go duration (`1m3s`, `17.39s`, `6ms`) or bare seconds, in seconds."""
    if not _DURATION_PART.sub("", text) and text:
        return sum(float(n) * _DURATION_UNITS[unit] for n, unit in _DURATION_PART.findall(text))
    return _number(text)


def _window_reset(headers: Headers, now: float) -> float | None:
    """The reset of the windows that are used up; the soonest where none says that it is."""
    windows = list(_windows(headers, now))
    used_up = [seconds for seconds, empty in windows if empty]
    if used_up:
        return max(used_up)
    return min((seconds for seconds, _ in windows), default=None)


def _windows(headers: Headers, now: float) -> Iterator[tuple[float, bool]]:
    for name, value in headers:
        found = _RESET.match(name)
        if not found:
            continue
        anthropic, openai = found.groups()
        remaining = f"{anthropic}-remaining" if anthropic else f"x-ratelimit-remaining-{openai}"
        seconds = _until(_rfc3339(value), now) if anthropic else duration(value)
        if seconds is not None:
            yield seconds, _number(header(headers, remaining)) == 0
