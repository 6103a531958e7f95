"""How many answers a request asks for."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from rewrite.translation.choices import MOST_CHOICES, choices_asked
from tests.rewrite.scenes import call


@pytest.mark.parametrize(
    ("body", "choices"),
    [({}, 0), ({"n": None}, 0), ({"n": "2"}, 0), ({"n": 1}, 1), ({"n": 3}, 3), ({"n": 10**9}, MOST_CHOICES)],
)
def test_how_many_choices_were_asked_for(body: Mapping[str, object], choices: int) -> None:
    assert choices_asked(replace(call(), body=body)) == choices
