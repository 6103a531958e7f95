"""What several proxies count, each for itself."""

from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.counters import Counters, Total
from rewrite.credentials.entries import Key, Kind

KEY = Key(Kind.USED, "p", "c", "", "9.0\nrequests/60.0\nm")
OTHER = KEY._replace(scope="8.0\nrequests/60.0\nm")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 5))))
def test_however_often_and_late_it_is_said_all_come_to_the_sum(
    counted: list[tuple[int, int]],
) -> None:
    proxies = [Counters(str(number)) for number in range(3)]
    said: list[list[Total]] = [[], [], []]
    known = [0.0] * 3
    for number, more in counted:
        said[number].append(proxies[number].counted(KEY, more))
        known[number] += more
    for hearer, own in enumerate(proxies):
        for number, totals in enumerate(said):
            for key, proxy, total in (*totals, *totals[-1:]) if number != hearer else ():
                known[hearer] += own.heard(key, proxy, total)
    assert known == [sum(more for _, more in counted)] * 3


def test_what_is_over_is_forgotten() -> None:
    counters = Counters("a")
    counters.counted(KEY, 2.0)
    counters.heard(OTHER, "b", 3.0)
    assert counters.forget(lambda key: key == OTHER) == [(OTHER, "b", 3.0)]
    assert [*counters.totals()] == [(KEY, "a", 2.0)]
    assert counters.has(KEY)
    assert not counters.has(OTHER)


def test_under_another_name_it_is_the_same() -> None:
    counters = Counters("a")
    counters.counted(KEY, 2.0)
    counters.heard(KEY, "b", 3.0)
    counters.rename(lambda key: OTHER if key == KEY else None)
    assert counters.heard(OTHER, "b", 4.0) == 1.0
    counters.rename(lambda _: KEY, others=False)
    assert [*counters.totals()] == [(KEY, "a", 2.0)]
    counters.rename(lambda _: None)
    assert not [*counters.totals()]
