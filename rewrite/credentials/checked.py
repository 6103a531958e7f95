"""What a provider answers when it is asked what a credential has used. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from operator import attrgetter

from protocols.model.wirejson import JsonObject, flag_at, number_at, object_at, text_at
from rewrite.catalog.checks import CheckedLimit
from rewrite.credentials.credential import ALL_MODELS, ModelFilter
from rewrite.credentials.learning import FURTHEST, MOST_REPORTED, Reported, moment_of
from rewrite.credentials.state import PoolState
from rewrite.credentials.windows import Unit

INTERVAL = 300.0
"""Seconds between two questions: such answers are rate-limited too."""

_EACH = "*"


def checked(
    limits: Sequence[CheckedLimit], body: JsonObject, now: float, pool: PoolState, name: str
) -> list[Reported]:
    """The limits in `body`, for the credential `name` of `pool`; `now` in epoch seconds. One without a reset
    holds until the answer after the next.

    Of several for one scope the one of which the most is used counts, and of too many those.
    """
    found: dict[tuple[str, str, str], Reported] = {}
    served = next((each.models for each in pool.credentials if each.name == name), ALL_MODELS)
    for limit in limits:
        for key, entry in _entries(body, limit.at.split(".")):
            one = _reported(limit, entry, now)
            for each in _scoped(limit, key, entry, one, pool, served) if one else ():
                of = each.name, each.about, each.models
                found[of] = max(found.get(of, each), each, key=attrgetter("share"))
    return sorted(found.values(), key=attrgetter("share"), reverse=True)[:MOST_REPORTED]


def _entries(found: JsonObject, names: Sequence[str], key: str = "") -> Iterator[tuple[str, JsonObject]]:
    """The objects at the end of the way `names`, each with the key that stands for `*` in it."""
    if not names:
        yield key, found
        return
    value, *further = names
    if further[:1] != [_EACH]:
        yield from _entries(object_at(found, value), further, key)
        return
    listed = found.get(value)
    pairs = (
        listed.items() if isinstance(listed, dict) else enumerate(listed if isinstance(listed, list) else ())
    )
    for each, entry in pairs:
        if isinstance(entry, dict):
            yield from _entries(entry, further[1:], str(each))


def _reported(limit: CheckedLimit, found: JsonObject, now: float) -> Reported | None:
    total = number_at(found, limit.limit) if limit.limit else limit.scale
    used = _used(limit, found, total)
    if total is None or total <= 0 or used is None or flag_at(found, limit.unlimited):
        return None
    if not limit.limit:
        used, total = used * 100 / total, 100.0
    resets_at = min(_reset(limit, found) or now + 2 * INTERVAL, now + FURTHEST)
    return Reported(limit.name, Unit(limit.unit), used, total, resets_at) if resets_at > now else None


def _used(limit: CheckedLimit, found: JsonObject, total: float | None) -> float | None:
    if limit.used:
        return number_at(found, limit.used)
    left = number_at(found, limit.left)
    if left is None and limit.null_is_spent and found.get(limit.left) is None:
        left = 0.0 if limit.left in found or _reset(limit, found) else None
    return None if left is None or total is None else max(total - left, 0.0)


def _reset(limit: CheckedLimit, found: JsonObject) -> float | None:
    if not limit.resets_at:
        return None
    stated = number_at(found, limit.resets_at)
    return moment_of(text_at(found, limit.resets_at)) if stated is None else stated


def _scoped(
    limit: CheckedLimit, key: str, found: JsonObject, one: Reported, pool: PoolState, served: ModelFilter
) -> Iterator[Reported]:
    """`one` for all models, for the one that is named, or for those that a glob says. Models that share a
    quota are known by their group: that of the model, or those that have no others than the glob's."""
    if limit.model:
        model = key if limit.model == _EACH else text_at(found, limit.model)
        if model and served.serves(model):
            yield replace(one, about=pool.quota_of(model) or f"model:{model}")
        return
    yield replace(one, whole=not limit.models, models=limit.models)
    if limit.models:
        groups = {group for glob, group in pool.groups if fnmatchcase(glob.lower(), limit.models)}
        others = {group for glob, group in pool.groups if not fnmatchcase(glob.lower(), limit.models)}
        for group in sorted(groups - others):
            yield replace(one, about=f"group:{group}")
