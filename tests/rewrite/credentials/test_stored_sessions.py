"""Conversations as entries and back: another proxy knows where they belong."""

from hypothesis import given
from hypothesis import strategies as st

from rewrite.credentials.entries import OF_SESSIONS, Entries, Entry, Key, Value
from rewrite.credentials.sessions import TTL, Sessions
from rewrite.credentials.stored_file import Moment, Stored, read, written
from rewrite.credentials.stored_sessions import restore, session_entries
from tests.rewrite.credentials.test_sessions import LONG, PROVIDER, House, Talk, evidence


def carried(sessions: Sessions, now: float) -> Sessions:
    """What another proxy knows, by way of a file."""
    moment = Moment(now, now)
    stored = Stored(session_entries(sessions.everything()), "ab")
    found = Sessions()
    restore(found, read(written(stored, moment), moment).entries)
    return found


def after_restart(house: House) -> House:
    other = House(carried(house.sessions, house.now), spread=house.spread)
    other.now = house.now
    return other


def test_a_stated_conversation_stays_where_it_was() -> None:
    house = House()
    one = evidence({}, "session")
    house.call(one, "b")
    assert after_restart(house).find(one, "another connection").prefer == ("b",)
    assert after_restart(house).find(evidence({}, "other")).prefer == ()


def test_a_conversation_that_nobody_states_does_too() -> None:
    house = House()
    talk = Talk(house)
    talk.turn("b", LONG)
    talk.house, talk.connection = after_restart(house), "another connection"
    assert talk.turn("a") == ("b",)


def test_what_two_conversations_left_says_nothing() -> None:
    house = House()
    talks = [Talk(house, connection=connection) for connection in ("c", "d")]
    for talk, key in zip(talks, ("a", "b"), strict=True):
        talk.turn(key)
    other = after_restart(house)
    for talk in talks:
        talk.house = other
        assert talk.turn("c") == ()


def test_one_that_is_away_goes_home_again() -> None:
    house = House()
    one = evidence({}, "session")
    house.call(one, "a")
    house.serve(one, house.find(one), "b")
    assert house.find(one).prefer == after_restart(house).find(one).prefer == ("a", "b")
    house.now += TTL - 0.5
    assert house.find(one).prefer == after_restart(house).find(one).prefer == ("b",)


def test_an_answer_that_is_kept_is_continued_where_it_was_made() -> None:
    house = House()
    house.sessions.made(PROVIDER, "resp_1", "b", house.now)
    assert after_restart(house).find(evidence({"previous_response_id": "resp_1"})).prefer == ("b",)


def test_what_others_knew_is_no_news() -> None:
    house = House()
    house.call(evidence({}, "old"), "b")
    old = session_entries(house.sessions.everything())
    house.sessions, house.now = Sessions(), 1000.0
    house.sessions.follow()
    for number in range(3):
        house.call(evidence({}, f"session {number}"), "a")
    restore(house.sessions, old)
    assert house.find(evidence({}, "old")).prefer == ("b",)
    assert len(session_entries(house.sessions.news())) == 3
    assert len([*house.sessions.everything()]) == 4


def test_of_too_many_what_another_proxy_knew_long_ago_is_forgotten_first() -> None:
    for ago, stays in ((30.0, "theirs"), (300.0, "ours")):
        house = House()
        house.now = 1000.0 - ago
        house.call(evidence({}, "theirs"), "b")
        theirs = session_entries(house.sessions.everything())
        house.sessions, house.now = Sessions(most=2), 1000.0
        house.call(evidence({}, "ours"), "a")
        restore(house.sessions, theirs)
        assert house.sessions.count(house.now) == 2
        house.call(evidence({}, "new"), "a")
        known = {name for name in ("ours", "theirs", "new") if house.find(evidence({}, name)).prefer}
        assert known == {stays, "new"}


def test_only_what_is_new_is_given() -> None:
    house = House()
    house.call(evidence({}, "before anybody asks"), "a")
    house.sessions.follow()
    for number in range(20):
        house.call(evidence({}, f"session {number}"), "a")
    assert len(session_entries(house.sessions.news())) == 20
    house.call(evidence({}, "session 3"), "a")
    (new,) = session_entries(house.sessions.news()).values()
    assert new.at == house.now
    assert not [*house.sessions.news()]


def test_what_two_proxies_heard_each_from_a_conversation_of_its_own_says_nothing() -> None:
    houses = House(), House()
    talks = [Talk(house, connection=each) for house, each in zip(houses, ("c", "d"), strict=True)]
    for talk, key in zip(talks, ("a", "b"), strict=True):
        talk.turn(key, LONG)
        talk.house.now += 1
    theirs = session_entries(houses[1].sessions.everything())
    restore(houses[0].sessions, theirs)
    assert talks[0].turn("a") == ("a",)


def test_the_later_of_two_holds() -> None:
    house = House()
    one = evidence({}, "session")
    house.call(one, "a")
    before = session_entries(house.sessions.everything())
    other = after_restart(house)
    other.now += 5
    other.serve(one, other.find(one), "b")
    restore(house.sessions, session_entries(other.sessions.everything()))
    assert house.find(one).prefer == ("a", "b")
    restore(house.sessions, before)
    assert house.find(one).prefer == ("a", "b")


def test_a_clock_that_was_set_changes_nothing() -> None:
    house = House()
    one = evidence({}, "session")
    house.call(one, "a")
    Talk(house).turn("b", LONG)
    house.sessions.made(PROVIDER, "resp_1", "b", house.now)
    before = session_entries(house.sessions.everything())
    house.sessions.moved(5e5)
    assert session_entries(house.sessions.everything()) == {
        key: entry.moved(5e5) for key, entry in before.items()
    }


def test_only_hashes_are_kept() -> None:
    house = House()
    talk = Talk(house, opening="a word of the user's")
    talk.turn("b", LONG)
    house.call(evidence({}, "the-session-of-the-user"), "a")
    written_down = written(Stored(session_entries(house.sessions.everything()), ""), Moment(house.now, 0.0))
    assert b"user" not in written_down
    assert LONG[:20].encode() not in written_down


ODD: st.SearchStrategy[Value] = (
    st.none() | st.floats() | st.text() | st.just({"home": 1}) | st.just({"home": "a"})
)
KEYS = st.builds(Key, st.sampled_from([*OF_SESSIONS]), st.just("p"), scope=st.text() | st.just("ff" * 16))


@given(st.dictionaries(KEYS, st.builds(Entry, st.floats(0, 9), st.floats(0, 9), ODD)))
def test_odd_entries_do_no_harm(entries: Entries) -> None:
    restore(Sessions(), entries)
