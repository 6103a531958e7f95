"""Calls with keys that were taken out."""

from pydantic import SecretStr

from addons.credentials.departed import Departed

WHO = ("p", "one")
KEY, OTHER = SecretStr("k1"), SecretStr("k2")


def test_those_that_are_not_over_are_there_when_the_key_comes_back() -> None:
    departed = Departed()
    departed.left(WHO, KEY, 3)
    departed.over(WHO, KEY)
    assert [departed.back(WHO, OTHER), departed.back(("p", "two"), KEY)] == [0, 0]
    assert [departed.back(WHO, KEY), departed.back(WHO, KEY)] == [2, 0]


def test_no_more_are_over_than_there_were() -> None:
    departed = Departed()
    departed.left(WHO, KEY, 1)
    for _ in range(3):
        departed.over(WHO, KEY)
    assert departed.back(WHO, KEY) == 0
