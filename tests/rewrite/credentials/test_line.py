"""Who is let in, and how fast."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.line import PACE, Line, Waiter


def waiter(ticket: int, scope: str = "m", *, cooled: bool = True, until: float = 100.0) -> Waiter[str]:
    return Waiter(ticket, scope, until, str(ticket), cooled=cooled)


def line(*waiters: Waiter[str]) -> Line[str]:
    made: Line[str] = Line()
    for one in waiters:
        made.join(one)
    return made


def tickets(found: Line[str]) -> list[int]:
    return [one.ticket for one in found]


def test_who_came_first_is_first_whenever_they_joined() -> None:
    found = line(waiter(3), waiter(1), waiter(2))
    assert tickets(found) == [1, 2, 3]


def test_who_leaves_while_the_line_is_gone_through_is_passed_over() -> None:
    first, second = waiter(1), waiter(2)
    found = line(first, second)
    seen = []
    for one in found:
        seen.append(one.ticket)
        found.leave(second)
    assert (seen, len(found)) == ([1], 1)
    found.leave(second)


def test_a_credential_that_has_come_back_is_given_to_one_at_a_time() -> None:
    first, second = waiter(1), waiter(2)
    found = line(first, second, waiter(3), waiter(4, "other"))
    found.let_in(first, "a", 10.0)
    assert found.held("m", 10.0) == frozenset("a")
    assert found.held("other", 10.0) == frozenset()
    assert found.held("m", 10.0 + PACE) == frozenset()
    found.answered(9, 10.1)
    assert found.held("m", 10.1) == frozenset("a")
    found.answered(1, 10.2)
    assert found.held("m", 10.2) == frozenset()
    found.let_in(second, "a", 10.3)
    assert found.held("m", 10.3) == frozenset("a")


def test_places_are_given_as_they_come_free() -> None:
    first = waiter(1, cooled=False)
    found = line(first, waiter(2))
    found.let_in(first, "a", 10.0)
    assert found.held("m", 10.0) == frozenset()


def test_what_nobody_waits_for_is_held_no_more() -> None:
    first, second = waiter(1), waiter(2)
    found = line(first, second)
    found.let_in(first, "a", 10.0)
    found.leave(second)
    assert found.held("m", 10.0) == frozenset()
    assert found.next_look(10.0) is None


def test_when_to_look_again() -> None:
    one, two = waiter(1, until=50.0), waiter(2, until=40.0)
    found = line(one, two, waiter(3))
    assert found.next_look(0.0) == 40.0
    one.due = 12.0
    assert found.next_look(0.0) == 12.0
    found.let_in(two, "a", 10.0)
    assert found.next_look(10.0) == 10.0 + PACE
    assert found.next_look(11.5) == 12.0


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc"), st.sampled_from("mn"), st.floats(0, 3))))
def test_nothing_is_kept_of_who_has_left(steps: list[tuple[int, str, str, float]]) -> None:
    found, inside, now = line(), list[Waiter[str]](), 0.0
    for number, (move, name, scope, seconds) in enumerate(steps):
        now += seconds
        if move < 2 or not inside:
            inside.append(waiter(number, scope))
            found.join(inside[-1])
        elif move == 2:
            found.leave(inside.pop(0))
        elif move == 3:
            found.answered(number - 1, now)
        else:
            one = inside.pop(0)
            assert found.held(one.scope, now) <= frozenset("abc")
            found.let_in(one, name, now)
        look = found.next_look(now)
        assert (look is None) == (not inside)
        assert look is None or look > now
    for one in inside:
        found.leave(one)
    assert (len(found), found._paced) == (0, {})


def test_a_clock_that_is_set_changes_no_wait() -> None:
    for seconds in (5000.0, -5000.0):
        first, second = waiter(1), waiter(2, until=140.0)
        found = line(first, second)
        second.due = 120.0
        found.let_in(first, "a", 110.0)
        found.moved(seconds)
        assert found.held("m", 110.0 + PACE / 2 + seconds) == {"a"}
        assert found.next_look(110.0 + seconds) == 110.0 + PACE + seconds
        assert found.held("m", 110.0 + PACE + seconds) == frozenset()
        assert found.next_look(115.0 + seconds) == 120.0 + seconds
        second.due = inf
        assert found.next_look(115.0 + seconds) == 140.0 + seconds
