"""Writes docs/rotation.md: who serves, in which order, and what cools for how long, as the tables have it.

`python -m scripts.rotation_doc > docs/rotation.md`
"""

from collections.abc import Iterator, Mapping
from math import isinf
from textwrap import fill

from addons.config.provider_files import built_in
from rewrite.catalog.provider_tables import provider
from rewrite.catalog.providers import Rotation
from rewrite.credentials import health, sessions
from rewrite.credentials.checked import INTERVAL
from rewrite.credentials.choosing import Chosen, begun, choose, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.learning import UNSTATED
from rewrite.credentials.rules import LATER, RULES, CredentialRequest
from rewrite.credentials.settling import COOLDOWNS, MODEL_COOLDOWN, Attempted, CooldownRule, Extent, settle
from rewrite.credentials.sharing import STILL_HELD
from rewrite.credentials.state import PoolState
from rewrite.credentials.windows import STEPS, Period, Unit, Window
from rewrite.values.key_refusal import REMEDIES
from rewrite.values.outcome import Completed, Kind

_OPENING = """# Rotation

Which credential of a pool serves a call, and what becomes of one that failed. What serves is chosen in
`rewrite/credentials/choosing.py`, what an outcome does to a credential is said in
`rewrite/credentials/settling.py`. [rotator.example.toml](../rotator.example.toml) has every name of the
config, and [inspection.md](inspection.md) says how to see and steer a pool while it runs. The record of a
call says of each attempt why it was that credential.

This file is written by `python -m scripts.rotation_doc`, from the tables that the code goes by; a test holds
it to the code.

## Who may serve

A credential does not serve a call while one of these holds.
"""

_RULES: Mapping[str, tuple[str, str]] = {
    "_retired": ("`rotator.retire` took it out", "until `rotator.resume`"),
    "_model_denied": ("its `models` do not have the model of the call", "always"),
    "_of_another_tool": (
        "it is a login of a tool, and another client asks",
        "always; `any_client = true` lifts it",
    ),
    "_cooling": ("it cools: all of it, or for the model or its quota group", "see below"),
    "_limited": (
        "a window of its `windows` is full, or one of its `caps` is reached",
        "until some of it is free",
    ),
    "_unknown": (
        "it has limits that other proxies count too (`[state] url`), and this one has just started",
        "until their store answers, or cannot be reached",
    ),
    "_full": (
        "it has `max_concurrency` calls in flight, those of other proxies included",
        "until one of them ends",
    ),
    "_refused": ("it refused this call already", "for this call"),
    "_resting": ("it was rate-limited in this call", "until the wait that the call keeps is over"),
    "_asked_already": ("the call has asked it, and asks others only", "for this attempt"),
    "_held": ("it has just come back, and others waited for it before", "until these have an answer"),
}

_LATER: Mapping[str, str] = {
    "_avoided": "the call has asked it already",
    "_waiting": "`fair_cycle`: it was exhausted, and others have not had their turn since",
    "_failing": (
        f"it failed {health.STREAK_FAILURES} times in a row while others served: "
        f"for {health.ASKED_LAST:.0f} s"
    ),
    "_used_up": "its provider reported that a limit of it is used up: until that is reset",
    "_over_target": "it has `target_concurrency` calls in flight; its own conversations stay",
}

_MODES: Mapping[Rotation, str] = {
    Rotation.SEQUENTIAL: "The first serves while it may; the others are spares. Prompt caches stay warm.",
    Rotation.ROUND_ROBIN: "One after another.",
    Rotation.BALANCED: "The one with most left of its limits (to 1 %); of equals the least recently used.",
    Rotation.WEIGHTED: "By `weight`, spread evenly. One that was away has saved up nothing.",
    Rotation.CHEAPEST: "The lowest `cost_rank`; of equals the least recently used.",
}

_BLAMED: Mapping[Kind, tuple[str, str]] = {
    Kind.AUTH: ("401, and errors that say that the key is wrong", REMEDIES[Kind.AUTH]),
    Kind.QUOTA: (
        "402, and a 429 that says that the account's credit or quota is used up",
        REMEDIES[Kind.QUOTA],
    ),
    Kind.MODEL_QUOTA: ("the same where it is about one model", "another model may still be served"),
    Kind.FORBIDDEN: ("403", REMEDIES[Kind.FORBIDDEN]),
    Kind.RATE: ("429", "a rate limit passes by itself"),
    Kind.MODEL: ("a 404 that says that the model is unknown", "it may be unknown to this key alone"),
}

SAMPLE = tuple(
    Credential(
        name,
        "openai",
        weight=weight,
        cost_rank=rank,
        windows=(Window(Unit.REQUESTS, limit, Period.DAY),),
    )
    for name, weight, rank, limit in (("a", 2.0, 3.0, 8), ("b", 1.0, 1.0, 4), ("c", 1.0, 1.0, 4))
)
"""The pool that each mode is shown with."""

CALLS = 10


def document() -> str:
    """The whole file."""
    parts = (
        _who_may(),
        _order(),
        _modes(),
        _sessions(),
        _cooldowns(),
        _limits(),
        _pauses(),
        _waiting(),
        _several(),
    )
    return "\n".join([_OPENING, *(line for part in parts for line in part)]).rstrip() + "\n"


def _who_may() -> Iterator[str]:
    yield "| a credential does not serve while | how long |\n|---|---|"
    for rule in RULES:
        what, how_long = _RULES[rule.__name__]
        yield f"| {what} | {how_long} |"
    yield ""


def _order() -> Iterator[str]:
    yield "## In which order\n"
    yield _wrapped(
        """1. A call that is bound to a credential (a signature, a kept response) goes to that one, though it
        cools."""
    )
    yield "2. The credential of the conversation serves, if none of these holds, the heaviest first:\n"
    yield from (f"   - {_LATER[rule.__name__]}" for rule in LATER)
    yield "\n   One of which one holds serves after all others, whatever its priority."
    yield "3. The lowest `priority` serves first; among equal ones `rotation` decides.\n"


def _modes() -> Iterator[str]:
    yield "## The modes\n"
    yield f"{CALLS} new conversations, one after another, with this pool:\n\n```toml\ncredentials = ["
    for one in SAMPLE:
        limit = f'windows = [{{ unit = "requests", limit = {one.windows[0].limit:g}, per = "day" }}]'
        yield (
            f'  {{ name = "{one.name}", key = "env:KEY_{one.name.upper()}", '
            f"weight = {one.weight:g}, cost_rank = {one.cost_rank:g}, {limit} }},"
        )
    yield "]\n```\n\n| `rotation` | who serves | |\n|---|---|---|"
    for mode in Rotation:
        yield f"| `{mode.value}` | {' '.join(serving(mode))} | {_MODES[mode]} |"
    yield ""
    yield _wrapped(
        """Only new conversations take turns, and those that lose their credential. One that goes on takes
        none, so that a busy one does not decide which keys new ones share. `balanced` counts the limits of
        the config and those that the provider reports."""
    )
    yield ""


def serving(mode: Rotation) -> Iterator[str]:
    """The names of those that serve new conversations in `mode`, one after another."""
    pool, request = PoolState(SAMPLE, mode), CredentialRequest("model:m", model="m")
    for number in range(CALLS):
        found = choose(pool, request, 0.0)
        assert isinstance(found, Chosen)
        one = found.credential
        yield one.name
        pool = begun(taken(pool, one.name, found.wheel), one, request, 0.0)
        pool = settle(pool, Attempted(one.name, request.scope, str(number)), Completed(), 0.0)


def _sessions() -> Iterator[str]:
    yield "## Conversations\n"
    yield _wrapped(
        f"""A conversation stays on its credential until it was silent for {_time(sessions.TTL)};
        {sessions.MOST_CONVERSATIONS:,} are known at a time. A failure that passes moves none. One whose
        credential cools goes elsewhere, and back when that returns, unless something was signed elsewhere.
        The agents of one session stay together, unless `spread_subagents = true`."""
    )
    yield ""


def _cooldowns() -> Iterator[str]:
    yield "## What cools, and for how long\n"
    yield "| the provider said | what cools | for how long | why |\n|---|---|---|---|"
    for kind, rule in COOLDOWNS.items():
        said, why = _BLAMED[kind]
        yield f"| {said} | {_what(rule)} | {_how_long(kind, rule)} | {why} |"
    yield ""
    yield _wrapped(
        """A cooldown is never shortened by another. Calls that were under way together and are refused
        together are one refusal. Nothing else cools a credential: no error in the request, no error of the
        server, no stall and no cut. A changed config or key file ends the cooldowns of refusals,
        `rotator.resume` ends all."""
    )
    yield ""


def _what(rule: CooldownRule) -> str:
    what = "all of it" if rule.extent is Extent.WHOLE else "it, for that model"
    return f"{what}; for the quota group, where the model is in one" if rule.grouped else what


def _how_long(kind: Kind, rule: CooldownRule) -> str:
    if kind is Kind.MODEL:
        return f"{_time(MODEL_COOLDOWN)}, once another credential served it"
    if rule.doubles:
        return f"{_time(rule.unstated)}, doubling up to {_time(rule.longest)} with each in a row"
    if not rule.heeds:
        return _time(rule.unstated)
    shortest = f"at least {_time(rule.shortest)} and " if rule.shortest else ""
    longest = "" if isinf(rule.longest) else f", {shortest}at most {_time(rule.longest)}"
    return f"as long as it says{longest}; else {_time(rule.unstated)}"


def _limits() -> Iterator[str]:
    yield "## Limits\n"
    yield _wrapped(
        f"""`windows` count requests when a credential is taken, tokens and costs when it is given back. A
        window in seconds rolls, in steps of a {STEPS}th of it; one by `day`, `week` or `month` ends by the
        calendar of its `zone`. Each model has its own count, or each quota group (`models = [{{ match,
        quota_group }}]` of the provider). `caps` are parts of the limits that the provider reports. What it
        reports is learnt from all traffic; a limit without a stated reset is known for {_time(UNSTATED)}."""
    )
    yield ""
    keys, logins = _checks()
    yield _wrapped(
        f"""With `check = true`, of a provider or of one credential, the provider is asked every
        {_time(INTERVAL)} what is used: {keys} for keys, {logins} for logins. A limit that it says is for some
        models alone is learnt for these."""
    )
    yield ""


def _checks() -> tuple[str, str]:
    """The providers that tell keys, and those that tell logins alone."""
    known = {name: provider(name, facts).quota_check for name, facts in built_in().items()}
    asked = [(name, check) for name, check in known.items() if check is not None]
    keys = [f"`{name}`" for name, check in asked if not check.logins_only]
    return ", ".join(keys), ", ".join(f"`{name}`" for name, check in asked if check.logins_only)


def _pauses() -> Iterator[str]:
    yield "## Pauses\n"
    yield _wrapped(
        f"""After {health.PAUSE_FAILURES} errors of the server within {_time(health.PAUSE_WINDOW)}, of at
        least two credentials and two conversations and with no success between, a single call asks once
        more. If that fails too, the provider is paused for that model: for {_time(health.PAUSE_SHORTEST)},
        doubling up to {_time(health.PAUSE_LONGEST)}, each followed by a single probe. Calls with another
        target go there meanwhile; those without one are tried."""
    )
    yield ""


def _waiting() -> Iterator[str]:
    yield "## Waiting\n"
    yield _wrapped(
        """With nothing free but something due within the call's `deadline` and its client's patience, the
        call waits: first come first served, at most `queue_limit` (of a provider) of them. It is let in when
        a place is free or a cooldown ends, one by one. Otherwise it is answered 429 with the soonest time in
        `Retry-After`."""
    )


def _several() -> Iterator[str]:
    yield "\n## Several proxies\n"
    yield _wrapped(
        """Proxies with one `[state] url` rotate as one. `max_concurrency`, `windows` and `caps` hold for all
        of them together, and one alone probes a provider: a call that needs any of these asks the store
        before its attempt, for at most 50 ms. A place that is free again goes to the call that has waited
        longest, at whichever proxy; those of a proxy that died are free after 10 s."""
    )
    yield ""
    yield _wrapped(
        f"""While the store does not answer, each proxy goes on from what it knows: with `max_concurrency`
        divided by their number, but one place at least, and as if each other one used as much of the
        windows as it does itself. What others held when it was lost counts for {_time(STILL_HELD)} more. What
        was used meanwhile is merged when it is back."""
    )


def _wrapped(text: str) -> str:
    return fill(" ".join(text.split()), 118, break_on_hyphens=False)


def _time(seconds: float) -> str:
    """In the largest unit that it is a whole number of."""
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit and not seconds % unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


if __name__ == "__main__":
    print(document(), end="")
