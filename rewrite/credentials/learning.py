"""What the headers of an answer say of the limits of the credential that it came for. Pure.

`FAMILIES` has a line for each family of headers: which headers are of it, and who reads one of its limits.
Scales differ: Anthropic's unified limits report a fraction, Codex's a percentage used, Copilot's a percentage
left, all others counts. An answer without such headers costs one look at their names.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl

from protocols.model.http import Headers
from rewrite.credentials.windows import Unit
from rewrite.policies.retry_after import duration

UNSTATED = 60.0
"""Seconds until a limit is free again whose reset is not stated: most such are per minute."""
FURTHEST = 40 * 86_400.0
"""No reset is further away, in seconds: the longest known window is a month."""
WAIT = "retry-after"
"""The name of a wait that was asked for: no limit of which a share may be used."""
LONGEST_WAIT = 1800.0
"""No such wait is longer, in seconds."""
MOST_REPORTED = 32
"""Of how many limits an answer is read."""
LONGEST_NAME = 200
"""Characters of a header that reports one: its name is kept, stored and shown."""

REPORTS = re.compile(
    r"^(?:anthropic-ratelimit-|x-ratelimit-|x-quota-snapshot-|x-usage-ratelimit-|x-.+-used-percent$)",
    re.IGNORECASE | re.MULTILINE,
)
"""Finds a header that `reported` would read, in the names of all, each on a line of its own."""


_MODELS = "models:"


def models_of(scope: str) -> str:
    """The glob of a scope that `Reported.models_scope` made; empty: it is another."""
    return scope.removeprefix(_MODELS) if scope.startswith(_MODELS) else ""


@dataclass(frozen=True, slots=True)
class Reported:
    """What a provider said of one limit of a credential."""

    name: str
    """What distinguishes it from the other limits that its answers report."""
    unit: Unit
    used: float
    """In `unit`; a percentage where the limit itself is not stated."""
    limit: float
    resets_at: float
    """When it is free again, in epoch seconds."""
    whole: bool = False
    """It is one limit for all models; else for the model or the quota group that was asked."""
    models: str = ""
    """A glob of the models that it is for, where the provider named them and none was asked."""
    about: str = ""
    """The scope that it is for, where the provider named a model of that and none was asked."""

    @property
    def models_scope(self) -> str:
        """The scope of it, where it is for `models`; else empty."""
        return f"{_MODELS}{self.models}" if self.models else ""

    def concerns(self, scope: str) -> bool:
        """Whether it is for `models`, and the model of `scope` is one. A quota group is none: see
        `rewrite.credentials.checked`."""
        kind, _, name = scope.partition(":")
        return bool(self.models) and kind == "model" and fnmatchcase(name.lower(), self.models)

    @property
    def is_used_up(self) -> bool:
        return self.used >= self.limit

    @property
    def share(self) -> float:
        """How much of it is used, from 0 to 1."""
        return min(max(self.used / self.limit, 0.0), 1.0)


type Facts = Mapping[str, str]
"""What the headers say of one limit, by the last word of their names."""


def reported(headers: Headers, now: float) -> Sequence[Reported]:
    """The limits that an answer's headers report; `now` in epoch seconds."""
    found, furthest = [], now + FURTHEST
    named = [(name.lower(), value) for name, value in headers]
    of_limits = [each for each in named if each[0].startswith(PREFIXES) and len(each[0]) <= LONGEST_NAME]
    for family in FAMILIES:
        for name, facts in _by_limit(family, of_limits).items():
            one = family.read(name, facts, now)
            if one is not None and one.limit > 0 and one.resets_at > now:
                found.append(one if one.resets_at <= furthest else replace(one, resets_at=furthest))
    return found[:MOST_REPORTED]


def asked_to_wait(seconds: float, now: float) -> Reported:
    """A provider asked for a wait, and did not say for which model."""
    return Reported(WAIT, Unit.PERCENT, 100.0, 100.0, now + min(seconds, LONGEST_WAIT), whole=True)


PREFIXES = ("anthropic-ratelimit-", "x-")
"""How the headers of all families begin."""


def _by_limit(family: "Family", headers: Sequence[tuple[str, str]]) -> Mapping[str, dict[str, str]]:
    """`headers`: with names in lower case."""
    limits: dict[str, dict[str, str]] = defaultdict(dict)
    for header, value in headers:
        if found := family.form.fullmatch(header):
            limits[found["name"] or ""][found["fact"]] = value.strip()
    return limits


# -- those who read one limit ------------------------------------------------------------------------------


def _anthropic(name: str, facts: Facts, now: float) -> Reported | None:
    """Of an API key: counts, the reset as RFC 3339."""
    return _counted(f"anthropic-ratelimit-{name}", facts, moment_of(facts.get("reset", "")), now)


_WHOLE_CLAIMS = frozenset({"5h", "7d"})
"""Of a subscription; all others (7d_sonnet, 7d_oi) are of some models."""


def _unified(name: str, facts: Facts, _now: float) -> Reported | None:
    """Of a subscription: a fraction, the reset in epoch seconds. What is rejected is used up."""
    share, resets_at = _number(facts.get("utilization", "")), _number(facts.get("reset", ""))
    rejected = facts.get("status", "").lower() == "rejected"
    if name == "overage" or resets_at is None or (share is None and not rejected):
        return None
    used = max((share or 0.0) * 100, 100.0 if rejected else 0.0)
    whole = name in _WHOLE_CLAIMS
    return Reported(f"anthropic-ratelimit-unified-{name}", Unit.PERCENT, used, 100.0, resets_at, whole)


_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "month": 30 * 86_400.0}
_LENGTH = re.compile(r"(?:(?:^|-)(\d+))?(?:^|-)(second|minute|hour|day|month)$")
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e12


def _openai(name: str, facts: Facts, now: float) -> Reported | None:
    """Of OpenAI and its likes: counts; the reset is a Go duration or seconds, an epoch time with some, and
    left out by others, whose names may say how long the window is (`req-10-second`)."""
    return _counted(f"x-ratelimit-{name}".rstrip("-"), facts, _reset(name, facts.get("reset", ""), now), now)


def _reset(name: str, text: str, now: float) -> float | None:
    stated = duration(text)
    if stated is not None and stated >= _EPOCH_MILLISECONDS:
        return stated / 1000
    if stated is not None:
        return stated if stated >= _EPOCH_SECONDS else now + stated
    length = _LENGTH.search(name)
    return now + float(length[1] or 1) * _SECONDS[length[2]] if length else None


_WHOLE_PLANS = frozenset({"codex-primary", "codex-secondary"})


def _codex(name: str, facts: Facts, now: float) -> Reported | None:
    """Of a ChatGPT plan: a percentage used, by a name that is not `codex` for some models alone."""
    used, resets_at = _number(facts.get("used-percent", "")), _number(facts.get("reset-at", ""))
    after = _number(facts.get("reset-after-seconds", ""))
    if resets_at is None and after is not None:
        resets_at = now + after
    if used is None or resets_at is None:
        return None
    whole = name in _WHOLE_PLANS
    return Reported(f"x-{name}", Unit.PERCENT, used, 100.0, resets_at, whole)


_NOT_OF_CALLS = frozenset({"quota-snapshot-completions"})
"""Of what an editor completes while one types."""


def _copilot(name: str, facts: Facts, now: float) -> Reported | None:
    """Of a Copilot plan: a query string with a percentage left; an entitlement of -1 has no limit."""
    said = dict(parse_qsl(facts.get("", "")))
    left = _number(said.get("rem", ""))
    if left is None or said.get("ent") == "-1" or name in _NOT_OF_CALLS:
        return None
    resets_at = moment_of(said.get("rst", "")) or now + UNSTATED
    whole = name.startswith("usage-")
    return Reported(f"x-{name}", Unit.PERCENT, 100.0 - left, 100.0, resets_at, whole)


_UNITS = {"token": Unit.TOKENS, "req": Unit.REQUESTS}


def _unit(name: str) -> Unit | None:
    """None for what is neither, such as seconds of sound."""
    kind = _LENGTH.sub("", name).rpartition("ratelimit")[2]
    return next(
        (unit for word, unit in _UNITS.items() if word in kind), None if kind.strip("-") else Unit.REQUESTS
    )


def _counted(name: str, facts: Facts, resets_at: float | None, now: float) -> Reported | None:
    unit, limit, left = _unit(name), _number(facts.get("limit", "")), _number(facts.get("remaining", ""))
    if unit is None or left is None or (limit is None and left != 0):  # some say -1 where there is no limit
        return None
    limit = limit or 1.0
    return Reported(name, unit, max(limit - left, 0.0), limit, resets_at or now + UNSTATED)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -1e15 < value < 1e15 else None


def moment_of(text: str) -> float | None:
    """RFC 3339, in epoch seconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True)
class Family:
    """Headers that report limits in one way."""

    form: re.Pattern[str]
    """A whole header name in lower case: the `name` of the limit, and which `fact` of it that header has."""
    read: Callable[[str, Facts, float], Reported | None]
    """One limit, by name, facts and the present in epoch seconds; None where they say nothing."""


_FORMS = {
    "unified": r"anthropic-ratelimit-unified-(?P<name>.+)-(?P<fact>utilization|reset|status)",
    "anthropic": r"anthropic-ratelimit-(?P<name>(?!unified).+)-(?P<fact>limit|remaining|reset)",
    "openai": r"x-ratelimit-(?P<fact>limit|remaining|reset)(?:-(?P<name>.+))?",
    "codex": r"x-(?P<name>.+-(?:primary|secondary))-(?P<fact>used-percent|reset-at|reset-after-seconds)",
    "copilot": r"x-(?P<name>quota-snapshot-.+|usage-ratelimit-.+)(?P<fact>)",
}

FAMILIES: Sequence[Family] = (
    Family(re.compile(_FORMS["unified"]), _unified),
    Family(re.compile(_FORMS["anthropic"]), _anthropic),
    Family(re.compile(_FORMS["openai"]), _openai),
    Family(re.compile(_FORMS["codex"]), _codex),
    Family(re.compile(_FORMS["copilot"]), _copilot),
)
