"""What providers answer when they are asked what a credential has used."""

import pytest

from addons.config.settings import built_in
from protocols.model.wirejson import JsonObject
from rewrite.catalog.providers import provider
from rewrite.credentials.checked import INTERVAL, checked
from rewrite.credentials.learning import Reported
from rewrite.credentials.windows import Unit

NOW = 1_795_000_000.0
CREDITS, HOURS = "credits", "anthropic-ratelimit-unified-5h"

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
            Reported(HOURS, Unit.PERCENT, 37.0, 100, NOW + 3600, whole=True),
            Reported("anthropic-ratelimit-unified-7d", Unit.PERCENT, 100, 100, NOW + 600, whole=True),
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
]


@pytest.mark.parametrize(("name", "body", "expected"), ROWS)
def test_limits_are_read_as_the_provider_s_file_says(
    name: str, body: JsonObject, expected: list[Reported]
) -> None:
    check = provider(name, built_in()[name]).quota_check
    assert check is not None
    assert [*checked(check.limits, body, NOW)] == expected


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
    ],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(table: JsonObject) -> None:
    with pytest.raises(ValueError, match="provider p: quota_check: "):
        provider("p", {"base_url": "https://p", "hosts": ["p"], "protocols": [], "quota_check": table})
