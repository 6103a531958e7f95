"""What headers say of limits: one table row for each family, with the scales of each."""

from dataclasses import replace

import pytest

from protocols.model.http import Headers
from rewrite.credentials.learning import (
    FAMILIES,
    FURTHEST,
    LONGEST_NAME,
    MOST_REPORTED,
    PREFIXES,
    REPORTS,
    UNSTATED,
    Reported,
    reported,
)
from rewrite.credentials.windows import Unit

NOW = 1_795_000_000.0  # 2026-11-18T11:06:40Z
REQUESTS, TOKENS, PERCENT = Unit.REQUESTS, Unit.TOKENS, Unit.PERCENT

ROWS: list[tuple[str, Headers, list[Reported]]] = [
    (
        "anthropic, a key",
        (
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-18T11:07:40Z"),
            ("anthropic-ratelimit-input-tokens-limit", "40000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-18T11:06:50Z"),
        ),
        [
            Reported("anthropic-ratelimit-requests", REQUESTS, 1, 50, NOW + 60),
            Reported("anthropic-ratelimit-input-tokens", TOKENS, 40000, 40000, NOW + 10),
        ],
    ),
    (
        "anthropic, a subscription",
        (
            ("Anthropic-Ratelimit-Unified-Status", "allowed"),
            ("Anthropic-Ratelimit-Unified-Reset", "1795010000"),
            ("Anthropic-Ratelimit-Unified-5h-Status", "allowed_warning"),
            ("Anthropic-Ratelimit-Unified-5h-Utilization", "0.93"),
            ("Anthropic-Ratelimit-Unified-5h-Reset", "1795010000"),
            ("Anthropic-Ratelimit-Unified-7d_oi-Status", "rejected"),
            ("Anthropic-Ratelimit-Unified-7d_oi-Utilization", "0.99"),
            ("Anthropic-Ratelimit-Unified-7d_oi-Reset", "1795400000"),
            ("Anthropic-Ratelimit-Unified-Overage-Status", "rejected"),
            ("Anthropic-Ratelimit-Unified-Overage-Reset", "1795400000"),
            ("Anthropic-Ratelimit-Unified-Overage-Disabled-Reason", "out_of_credits"),
        ),
        [
            Reported("anthropic-ratelimit-unified-5h", PERCENT, 93.0, 100, 1795010000, whole=True),
            Reported("anthropic-ratelimit-unified-7d_oi", PERCENT, 100.0, 100, 1795400000),
        ],
    ),
    (
        "openai",
        (
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
            ("x-ratelimit-limit-tokens", "200000"),
            ("x-ratelimit-remaining-tokens", "150000"),
            ("x-ratelimit-reset-tokens", "1m3s"),
        ),
        [
            Reported("x-ratelimit-requests", REQUESTS, 1, 10000, NOW + 0.006),
            Reported("x-ratelimit-tokens", TOKENS, 50000, 200000, NOW + 63),
        ],
    ),
    (
        "mistral, whose names say how long",
        (
            ("x-ratelimit-limit-req-10-second", "5"),
            ("x-ratelimit-remaining-req-10-second", "4"),
            ("x-ratelimit-limit-tokens-month", "1000000"),
            ("x-ratelimit-remaining-tokens-month", "999000"),
        ),
        [
            Reported("x-ratelimit-req-10-second", REQUESTS, 1, 5, NOW + 10),
            Reported("x-ratelimit-tokens-month", TOKENS, 1000, 1000000, NOW + 30 * 86400),
        ],
    ),
    (
        "the length alone, and what is no request",
        (
            ("x-ratelimit-limit-minute", "400"),
            ("x-ratelimit-remaining-minute", "398"),
            ("x-ratelimit-limit-audio-seconds-minute", "2000"),
            ("x-ratelimit-remaining-audio-seconds-minute", "1993"),
        ),
        [Reported("x-ratelimit-minute", REQUESTS, 2, 400, NOW + 60)],
    ),
    (
        "azure and xai, who say no reset",
        (("x-ratelimit-limit-requests", "480"), ("x-ratelimit-remaining-requests", "479")),
        [Reported("x-ratelimit-requests", REQUESTS, 1, 480, NOW + UNSTATED)],
    ),
    (
        "openrouter, in epoch milliseconds",
        (
            ("X-RateLimit-Limit", "20"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", "1795000030000"),
        ),
        [Reported("x-ratelimit", REQUESTS, 20, 20, NOW + 30)],
    ),
    (
        "in epoch seconds, with nothing left of a limit that is not stated",
        (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1795000030")),
        [Reported("x-ratelimit-requests", REQUESTS, 1, 1, NOW + 30)],
    ),
    (
        "codex",
        (
            ("x-codex-primary-used-percent", "87.5"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-codex-primary-reset-at", "1795003600"),
            ("x-codex-secondary-used-percent", "100"),
            ("x-codex-secondary-reset-after-seconds", "7200"),
            ("x-codex-credits-has-credits", "false"),
            ("x-codex-bengalfox-primary-used-percent", "12"),
            ("x-codex-bengalfox-primary-reset-at", "1795003600"),
            ("x-other-secondary-used-percent", "1"),
        ),
        [
            Reported("x-codex-primary", PERCENT, 87.5, 100, NOW + 3600, whole=True),
            Reported("x-codex-secondary", PERCENT, 100, 100, NOW + 7200, whole=True),
            Reported("x-codex-bengalfox-primary", PERCENT, 12, 100, NOW + 3600),
        ],
    ),
    (
        "copilot, whose percentage is what is left",
        (
            ("x-quota-snapshot-chat", "ent=-1&ov=0.0&ovPerm=false&rem=100.0&rst=2026-12-01T00%3A00%3A00Z"),
            ("x-quota-snapshot-completions", "ent=2000&rem=0&rst=2026-12-01T00:00:00Z"),
            ("x-quota-snapshot-premium_interactions", "ent=300&rem=24.5&rst=2026-11-18T12:06:40Z"),
            ("x-usage-ratelimit-session", "ent=0&rem=0.0&rst=2026-11-18T12:06:40Z"),
        ),
        [
            Reported("x-quota-snapshot-premium_interactions", PERCENT, 75.5, 100, NOW + 3600),
            Reported("x-usage-ratelimit-session", PERCENT, 100, 100, NOW + 3600, whole=True),
        ],
    ),
]


def says_anything(headers: Headers) -> bool:
    return REPORTS.search("\n".join([name for name, _ in headers])) is not None


@pytest.mark.parametrize(("headers", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_family_by_its_own_scale(headers: Headers, expected: list[Reported]) -> None:
    assert says_anything(headers)
    assert [_rounded(one) for one in reported(headers, NOW)] == [_rounded(one) for one in expected]


def _rounded(one: Reported) -> Reported:
    """Epoch seconds in a float are good for a microsecond or so."""
    return replace(one, resets_at=round(one.resets_at, 3))


def test_every_family_has_a_row() -> None:
    names = [name.lower() for _, headers, _ in ROWS for name, _ in headers]
    assert all(any(family.form.fullmatch(name) for name in names) for family in FAMILIES)


SILENT: list[Headers] = [
    (),
    (("content-type", "text/event-stream"), ("request-id", "anthropic-ratelimit-")),
    (("retry-after", "3"), ("x-request-id", "1")),
]


@pytest.mark.parametrize("headers", SILENT)
def test_other_headers_are_not_read(headers: Headers) -> None:
    assert not says_anything(headers)
    assert not reported(headers, NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("remaining", "many"),
        ("remaining", ""),
        ("remaining", "nan"),
        ("remaining", "inf"),
        ("limit", "0"),
        ("limit", "-5"),
        ("reset", "0s"),
    ],
)
def test_nonsense_says_nothing(name: str, value: str) -> None:
    facts = {"limit": "5", "remaining": "5", "reset": "10s", name: value}
    headers = tuple((f"x-ratelimit-{fact}-requests", text) for fact, text in facts.items())
    assert not [one for one in reported(headers, NOW) if one.is_used_up or one.used]


def test_less_than_nothing_left_of_no_limit_is_no_limit() -> None:
    """Some say -1 where there is none."""
    headers = (("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-reset-requests", "10s"))
    assert not reported(headers, NOW)
    (overdrawn,) = reported((*headers, ("x-ratelimit-limit-requests", "5")), NOW)
    assert overdrawn.is_used_up


def test_a_reset_is_never_further_away_than_a_month_or_so() -> None:
    headers = (
        ("x-ratelimit-limit-requests", "5"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "999999h"),
    )
    assert [one.resets_at for one in reported(headers, NOW)] == [NOW + FURTHEST]


def test_an_answer_reports_so_many_limits_at_most() -> None:
    headers = tuple(
        (f"x-ratelimit-{fact}-requests-{number}", "3")
        for number in range(100)
        for fact in ("limit", "remaining")
    )
    assert len(reported(headers, NOW)) == MOST_REPORTED


def test_a_limit_whose_name_fills_a_screen_is_none() -> None:
    name = "anthropic-ratelimit-unified-" + "x" * LONGEST_NAME
    assert not reported(((f"{name}-utilization", "0.5"), (f"{name}-reset", str(NOW + 60))), NOW)


def test_a_share_is_between_nothing_and_all() -> None:
    assert Reported("x", PERCENT, 120.0, 100.0, NOW).share == 1.0
    assert Reported("x", PERCENT, -3.0, 100.0, NOW).share == 0.0
    assert Reported("x", REQUESTS, 1.0, 4.0, NOW).share == 0.25


def test_every_family_begins_as_headers_that_are_looked_at() -> None:
    assert all(family.form.pattern.startswith(PREFIXES) for family in FAMILIES)
