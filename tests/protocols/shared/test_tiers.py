"""On which terms an answer was served."""

import pytest

from protocols.model.wirejson import JsonObject
from protocols.shared.tiers import tier_of


@pytest.mark.parametrize(
    ("places", "tier"),
    [
        ([{}], None),
        ([{"service_tier": "default"}], None),
        ([{"service_tier": None}, {"service_tier": "flex"}], "flex"),
        ([{"service_tier": "standard"}, {"service_tier": "PRIORITY"}], "priority"),
        ([{"service_tier": ["batch"]}], None),
    ],
)
def test_the_first_unusual_word_is_the_tier(places: list[JsonObject], tier: str | None) -> None:
    assert tier_of(*places) == tier


def test_another_field_may_say_it() -> None:
    assert tier_of({"serviceTier": "FLEX", "service_tier": "batch"}, name="serviceTier") == "flex"
