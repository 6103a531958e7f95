"""What providers answer when they are asked what a credential has used."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from addons.config.provider_files import built_in
from protocols.model.wirejson import JsonObject
from rewrite.catalog.checks import UNITS, QuotaCheck
from rewrite.catalog.model_facts import quota_groups
from rewrite.catalog.provider_tables import provider
from rewrite.credentials.checked import INTERVAL, checked
from rewrite.credentials.credential import Credential, ModelFilter
from rewrite.credentials.learning import FURTHEST, MOST_REPORTED, Reported
from rewrite.credentials.limits import is_used_up, learnt
from rewrite.credentials.state import CredentialState, PoolState
from rewrite.credentials.windows import Unit

NOW = 1_795_000_000.0
CREDITS, HOURS = "credits", "anthropic-ratelimit-unified-5h"

PREMIUM = "x-quota-snapshot-premium_interactions"
POOL = PoolState((Credential("a", "p"),))

OPUS = "anthropic-ratelimit-unified-7d_opus"

ROWS: list[tuple[str, JsonObject, list[Reported]]] = [
    (
        "openrouter",
        {"data": {"limit": 20, "limit_remaining": 5.5, "limit_reset": "monthly", "usage": 99}},
        [Reported(CREDITS, Unit.COST, 14.5, 20, NOW + 2 * INTERVAL, whole=True)],
    ),
    ("openrouter", {"data": {"limit": None, "limit_remaining": None, "usage": 99}}, []),
    ("openrouter", {"error": {"message": "no"}}, []),
    (
        "anthropic",
        {
            "five_hour": {"utilization": 37.0, "resets_at": "2026-11-18T12:06:40.000+00:00"},
            "seven_day": {"utilization": 100.0, "resets_at": None},
            "seven_day_opus": None,
        },
        [
            Reported("anthropic-ratelimit-unified-7d", Unit.PERCENT, 100, 100, NOW + 600, whole=True),
            Reported(HOURS, Unit.PERCENT, 37.0, 100, NOW + 3600, whole=True),
        ],
    ),
    (
        "anthropic",
        {"seven_day_opus": {"utilization": 88.0, "resets_at": "2026-11-18T12:06:40Z"}},
        [Reported(OPUS, Unit.PERCENT, 88.0, 100, NOW + 3600, models="*opus*")],
    ),
    ("anthropic", {"five_hour": {"utilization": 37.0, "resets_at": "2026-11-18T10:00:00Z"}}, []),
    (
        "chatgpt",
        {
            "rate_limit": {
                "primary_window": {"used_percent": 12, "reset_at": NOW + 60},
                "secondary_window": None,
            }
        },
        [Reported("x-codex-primary", Unit.PERCENT, 12, 100, NOW + 60, whole=True)],
    ),
    ("chatgpt", {"rate_limit": ["no"]}, []),
    (
        "github_copilot",
        {
            "quota_snapshots": {
                "chat": {"entitlement": 0, "percent_remaining": 0, "unlimited": True},
                "premium_interactions": {"entitlement": 300, "percent_remaining": 24.5, "unlimited": False},
                "completions": {"entitlement": 2000, "percent_remaining": 0, "unlimited": False},
            }
        },
        [Reported(PREMIUM, Unit.PERCENT, 75.5, 100, NOW + 2 * INTERVAL, whole=True)],
    ),
    ("github_copilot", {"quota_snapshots": None}, []),
    (
        "code_assist",
        {
            "buckets": [
                {"modelId": "m", "remainingFraction": 0.75, "resetTime": "2026-11-18T12:06:40Z"},
                {"modelId": "m", "remainingFraction": 0.25, "resetTime": "2026-11-18T12:06:40Z"},
                {"modelId": "n"},
                {"remainingFraction": 0.25},
                "no",
            ]
        },
        [Reported("quota", Unit.PERCENT, 75.0, 100, NOW + 3600, about="model:m")],
    ),
    ("code_assist", {"buckets": "no"}, []),
    (
        "antigravity",
        {"models": {"m": {"quotaInfo": {"remainingFraction": 0.5, "resetTime": "2026-11-18T12:06:40Z"}}}},
        [Reported("quota", Unit.PERCENT, 50.0, 100, NOW + 3600, about="model:m")],
    ),
    ("antigravity", {"models": {"m": 1}}, []),
]


@pytest.mark.parametrize(("name", "body", "expected"), ROWS)
def test_limits_are_read_as_the_provider_s_file_says(
    name: str, body: JsonObject, expected: list[Reported]
) -> None:
    check = provider(name, built_in()[name]).quota_check
    assert check is not None
    assert checked(check.limits, body, NOW, POOL, "a") == expected


def entries(name: str, body: JsonObject, pool: PoolState = POOL) -> dict[str, float]:
    """What is used in percent, by the scope that it is for."""
    known = provider(name, built_in()[name])
    assert known.quota_check is not None
    pool = replace(pool, groups=quota_groups(known))
    return {one.about: one.used for one in checked(known.quota_check.limits, body, NOW, pool, "a")}


def test_models_of_a_quota_group_are_one_limit_and_the_most_used_counts() -> None:
    info = {"claude-opus-4-6": 0.75, "claude-sonnet-4-6": 0.5, "gpt-oss-120b": 1, "gemini-x": 0}
    models = {name: {"quotaInfo": {"remainingFraction": left}} for name, left in info.items()}
    assert entries("antigravity", {"models": models}) == {"model:gemini-x": 100.0, "group:claude": 50.0}


@pytest.mark.parametrize(
    ("info", "used"),
    [
        ({"remainingFraction": None}, [100.0]),
        ({"resetTime": "2026-11-18T12:06:40Z"}, [100.0]),
        ({"remainingFraction": None, "resetTime": "2026-11-18T10:00:00Z"}, []),
        ({"remainingFraction": "1"}, []),
        ({}, []),
        (None, []),
    ],
)
def test_a_fraction_that_is_null_is_none_left_and_what_is_no_fraction_says_nothing(
    info: object, used: list[float]
) -> None:
    assert [*entries("antigravity", {"models": {"m": {"quotaInfo": info}}}).values()] == used


def test_of_many_models_those_are_kept_of_which_the_most_is_used() -> None:
    listed = [{"modelId": f"m{number}", "remainingFraction": number / 64} for number in range(64)]
    kept = entries("code_assist", {"buckets": listed})
    assert [*kept] == [f"model:m{number}" for number in range(MOST_REPORTED)]


def test_models_that_the_credential_may_not_serve_are_left_out() -> None:
    only = replace(POOL, credentials=(Credential("a", "p", models=ModelFilter(("m1",))),))
    listed = [{"modelId": name, "remainingFraction": 0} for name in ("m1", "m2")]
    assert [*entries("code_assist", {"buckets": listed}, only)] == ["model:m1"]


def test_a_limit_of_some_models_is_one_of_the_groups_that_have_no_others() -> None:
    groups = (("claude-opus-*", "big"), ("claude-opus-*", "some"), ("claude-*", "some"), ("*", "opus"))
    check = provider("anthropic", built_in()["anthropic"]).quota_check
    assert check is not None
    body = {"seven_day_opus": {"utilization": 100, "resets_at": None}}
    found = checked(check.limits, body, NOW, replace(POOL, groups=groups), "a")
    assert [(one.models, one.about) for one in found] == [("*opus*", ""), ("", "group:big")]
    state = learnt(CredentialState(), "", found, NOW)
    scopes = ("model:claude-opus-4", "group:big", "group:some", "group:opus", "model:claude-haiku-4")
    assert [is_used_up(state, scope, NOW) for scope in scopes] == [True, True, False, False, False]


CHECKS = [check for name, table in built_in().items() if (check := provider(name, table).quota_check)]
FIELDS = sorted(
    {
        field
        for check in CHECKS
        for one in check.limits
        for field in (
            *one.at.split("."),
            one.used,
            one.left,
            one.limit,
            one.unlimited,
            one.resets_at,
            one.model,
        )
        if field
    }
)
DATES = st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-23", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | DATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5), st.sampled_from(CHECKS))
def test_whatever_a_provider_answers_is_read(body: JsonObject, check: QuotaCheck) -> None:
    found = checked(check.limits, body, NOW, POOL, "a")
    assert all(each.limit > 0 and NOW < each.resets_at <= NOW + FURTHEST for each in found)
    assert all(0 <= each.share <= 1 for each in found)


def test_every_check_has_a_row() -> None:
    known = {name for name, facts in built_in().items() if provider(name, facts).quota_check}
    assert known == {name for name, _, _ in ROWS}


@pytest.mark.parametrize(
    "table",
    [
        {"path": "/x"},
        {"limits": []},
        {"path": "/x", "limits": ["five_hour"]},
        {"path": "/x", "limits": [{"name": "a"}]},
        {"path": "/x", "limits": [{"name": "a", "at": "b", "is": "c"}]},
        {"path": "/x", "limits": [], "often": True},
        {"path": "/x", "limits": [], "token": "id"},
        {"path": "/x", "limits": [], "body": {"project": 1}},
        {"path": "/x", "limits": [], "body": "project"},
    ],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(table: JsonObject) -> None:
    with pytest.raises(ValueError, match="provider p: quota_check: "):
        provider("p", {"base_url": "https://p", "hosts": ["p"], "protocols": [], "quota_check": table})


def test_units_are_those_that_limits_have() -> None:
    assert set(UNITS) == set(Unit)
