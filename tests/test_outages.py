"""The script that shows outages: how long one lasts, and what is printed of it."""

from scripts.outages import Away, Came


def test_an_outage_begins_with_the_first_connection() -> None:
    moments = iter([100.0, 104.9, 105.0])
    away = Away(5.0, lambda: next(moments))
    assert [away(), away(), away()] == [True, True, False]
    assert away.began == 100.0


def test_what_an_sdk_came_to_is_said_with_its_time() -> None:
    assert str(Came(answered=True, words="answer", seconds=6.44)) == "answer after 6.4 s"
