"""What a provider answers when it is asked what a credential has used. Pure."""

from collections.abc import Iterator, Sequence

from protocols.model.wirejson import JsonObject, number_at, object_at, text_at
from rewrite.catalog.checks import CheckedLimit
from rewrite.credentials.learning import FURTHEST, Reported, moment_of
from rewrite.credentials.windows import Unit

INTERVAL = 300.0
"""Seconds between two questions: such answers are rate-limited too."""


def checked(limits: Sequence[CheckedLimit], body: JsonObject, now: float) -> Iterator[Reported]:
    """The limits in `body`; `now` in epoch seconds. One without a reset holds until the answer after the
    next."""
    for limit in limits:
        found = body
        for name in limit.at.split("."):
            found = object_at(found, name)
        total = number_at(found, limit.limit) if limit.limit else 100.0
        used = _used(limit, found, total)
        if total is not None and total > 0 and used is not None:
            resets_at = min(_reset(limit, found) or now + 2 * INTERVAL, now + FURTHEST)
            if resets_at > now:
                yield Reported(
                    limit.name, Unit(limit.unit), used, total, resets_at, not limit.models, limit.models
                )


def _used(limit: CheckedLimit, found: JsonObject, total: float | None) -> float | None:
    if limit.used:
        return number_at(found, limit.used)
    left = number_at(found, limit.left)
    return None if left is None or total is None else max(total - left, 0.0)


def _reset(limit: CheckedLimit, found: JsonObject) -> float | None:
    if not limit.resets_at:
        return None
    stated = number_at(found, limit.resets_at)
    return moment_of(text_at(found, limit.resets_at)) if stated is None else stated
