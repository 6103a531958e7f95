"""Which conversation stays on which credential."""

from collections.abc import Mapping
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.call import Call, Operation
from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, Signature, StreamPart
from protocols.model.progress import Progress
from rewrite.credentials.evidence import Evidence, evidence_of
from rewrite.credentials.sessions import MOST_CLAIMS, TTL, Found, Sessions

PROVIDER = "vendor"
LONG = "This answer is so long that no other conversation can have one of the same words. " * 3
SIGNED = Signature("signature", "s" * 40)


def said(text: str, tool_id: str = "", signature: Signature | None = None) -> Progress:
    parts: list[StreamPart] = [BlockStart(0, 0, BlockKind.TEXT), BlockDelta(0, 0, BlockKind.TEXT, text)]
    if tool_id:
        parts += [BlockStart(0, 1, BlockKind.TOOL, tool_id, "ls"), BlockDelta(0, 1, BlockKind.TOOL, "{}")]
    if signature:
        parts += [BlockStart(0, 2, BlockKind.REASONING), BlockStop(0, 2, signature)]
    progress = Progress()
    progress.fold(parts)
    return progress


def evidence(body: Mapping[str, object], session: str | None = None, client: str = "client") -> Evidence:
    call = Call("id", "openai_chat", Operation.GENERATE, "m", True, (), body, session=session)
    return evidence_of(call, client=client)


class House:
    """Sessions of one provider, and a clock that moves by a second a call."""

    def __init__(self, sessions: Sessions | None = None, *, spread: bool = False) -> None:
        self.sessions, self.now, self.spread = sessions or Sessions(), 0.0, spread

    def find(self, one: Evidence, connection: str = "c") -> Found:
        return self.sessions.find(PROVIDER, one, connection, self.now, spread=self.spread)

    def call(
        self, one: Evidence, credential: str, answer: Progress | None = None, connection: str = "c"
    ) -> Found:
        """A call that is served by the first that it prefers, else by `credential`: what was found of it."""
        found = self.find(one, connection)
        served = found.prefer[0] if found.prefer else credential
        self.serve(one, found, served, answer, connection)
        return found

    def serve(
        self, one: Evidence, found: Found, by: str, answer: Progress | None = None, connection: str = "c"
    ) -> None:
        self.now += 1
        self.sessions.answered(PROVIDER, one, found, by, answer or said("Fine."), connection, self.now)


class Talk:
    """A conversation of a client that states nothing of it."""

    def __init__(self, house: House, opening: str = "hi", connection: str = "c", system: str = "") -> None:
        self.house, self.connection = house, connection
        self.messages: list[dict[str, object]] = [{"role": "user", "content": opening}]
        if system:
            self.messages.insert(0, {"role": "system", "content": system})

    def turn(self, credential: str, answer: str = "Fine.", then: str = "go on") -> tuple[str, ...]:
        """Ask for an answer, and ask on: the credentials that the call preferred."""
        found = self.house.call(self.evidence, credential, said(answer), self.connection)
        self.messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": then}]
        return found.prefer

    @property
    def evidence(self) -> Evidence:
        return evidence({"messages": self.messages})


# -- conversations that are stated ------------------------------------------------------------------------


def test_a_conversation_stays_and_another_may_go_elsewhere() -> None:
    house = House()
    one, two = evidence({}, "one"), evidence({}, "two")
    assert house.call(one, "a").prefer == ()
    assert house.call(two, "b").prefer == ()
    assert [house.call(each, "c").prefer for each in (one, two, one, two)] == [("a",), ("b",), ("a",), ("b",)]


def test_what_is_asked_beside_a_first_call_comes_along() -> None:
    house = House()
    one = evidence({}, "one")
    house.sessions.began(PROVIDER, house.find(one), "a", house.now)
    found = house.find(one)
    assert (found.prefer, found.former) == (("a",), None)
    house.serve(one, found, "b")
    assert house.find(one).prefer == ("b",)  # "a" never served it


def test_a_failure_that_passes_does_not_move_it() -> None:
    house = House()
    one = evidence({}, "one")
    house.call(one, "a")
    house.serve(one, house.find(one), "b")
    found = house.find(one)
    assert (found.prefer, found.former) == (("a", "b"), "b")
    house.serve(one, found, "a")
    assert house.find(one).prefer == ("a",)


def test_it_stays_away_together_and_comes_back() -> None:
    house = House()
    one = evidence({}, "one")
    house.call(one, "a")
    for _ in range(3):
        house.serve(one, house.find(one), "b")
        assert house.find(one).prefer == ("a", "b")
    house.now += TTL  # "a" has forgotten it
    house.serve(one, house.find(one), "b")
    assert house.find(one).prefer == ("b",)


def test_what_was_signed_elsewhere_stays_there() -> None:
    house = House()
    one = evidence({}, "one")
    house.call(one, "a")
    house.serve(one, house.find(one), "b", said("Fine.", signature=SIGNED))
    assert house.find(one).prefer == ("b",)


def test_a_conversation_is_forgotten_after_an_hour_of_silence() -> None:
    house = House()
    one = evidence({}, "one")
    house.call(one, "a")
    house.now += TTL
    assert house.find(one).prefer == ("a",)
    assert house.sessions.count(house.now) == 1
    house.now += 1
    found = house.find(one)
    assert (found.prefer, found.former) == ((), "a")  # a signature of its is still where it was made
    assert house.sessions.count(house.now) == 0


def test_providers_know_nothing_of_each_other() -> None:
    house = House()
    one = evidence({}, "one")
    house.call(one, "a")
    assert house.sessions.find("other", one, "c", house.now, spread=False).prefer == ()


def test_the_least_recently_used_conversation_is_forgotten_first() -> None:
    house = House(Sessions(most=2))
    calls = [evidence({}, name) for name in ("one", "two", "three")]
    house.call(calls[0], "a")
    house.call(calls[1], "b")
    house.call(calls[0], "c")
    house.call(calls[2], "c")
    assert [house.find(each).prefer for each in calls] == [("a",), (), ("c",)]


# -- answers that a provider keeps ------------------------------------------------------------------------


def test_an_answer_is_continued_where_it_was_made() -> None:
    house = House()
    house.call(evidence({"input": "hi"}), "b")
    house.sessions.made(PROVIDER, "resp_1", "b", house.now)
    then = evidence({"input": "on", "previous_response_id": "resp_1"})
    assert house.find(then, "other") == Found(None, ("b",), "b")
    house.call(then, "c")
    assert house.sessions.count(house.now) == 1


def test_an_answer_of_a_stated_conversation_counts_more_than_its_home() -> None:
    house = House()
    one = evidence({"input": "hi"}, "one")
    house.call(one, "a")
    house.serve(one, house.find(one), "b")
    house.sessions.made(PROVIDER, "resp_2", "b", house.now)
    then = house.find(evidence({"input": "on", "previous_response_id": "resp_2"}, "one"))
    assert then.prefer == ("b", "a")
    house.now += 10 * TTL
    assert house.find(evidence({"previous_response_id": "resp_2"})).prefer == ("b",)


def test_what_generates_nothing_belongs_nowhere() -> None:
    house = House()
    house.call(evidence({"model": "m"}), "a")
    assert house.sessions.count(house.now) == 0


# -- conversations that are known by their history --------------------------------------------------------


def test_a_conversation_that_grows_is_known_again() -> None:
    house = House()
    talk = Talk(house)
    assert talk.turn("a", "Hello!") == ()
    assert [talk.turn("b", f"Answer {n}.") for n in range(20)] == [("a",)] * 20


def test_two_that_begin_alike_are_two() -> None:
    house = House()
    one, two = Talk(house), Talk(house)
    assert one.turn("a", "Hello!") == ()
    assert two.turn("b", "Good morning!") == ()
    assert one.turn("c") == ("a",)
    assert two.turn("c") == ("b",)


def test_those_that_say_the_same_are_distinguished_by_their_connections() -> None:
    house = House()
    one, two = Talk(house, connection="1"), Talk(house, connection="2")
    for talk, credential in ((one, "a"), (two, "b")):
        assert talk.turn(credential) == ()
    assert (one.turn("c"), two.turn("c")) == (("a",), ("b",))


def test_a_connection_that_changes_hands_merges_nothing() -> None:
    house = House()
    one, two = Talk(house, "one", connection="1"), Talk(house, "two", connection="2")
    for talk, credential in ((one, "a"), (two, "b")):
        talk.turn(credential, LONG)
    one.connection, two.connection = "2", "1"
    assert (one.turn("c"), two.turn("c")) == (("a",), ("b",))


def test_those_that_nothing_tells_apart_are_new_again() -> None:
    house = House()
    one, two = Talk(house), Talk(house)
    assert one.turn("a") == two.turn("b") == ()
    assert one.turn("c", then="What is it?") == ()
    assert one.turn("d") == ("c",)


def test_what_every_conversation_says_is_no_evidence() -> None:
    """Examples that a program puts before each conversation were never answers of ours."""
    house = House()
    talks = [Talk(house, f"Question {n}", system=LONG) for n in range(5)]
    for talk in talks:
        talk.messages[1:1] = [{"role": "user", "content": LONG}, {"role": "assistant", "content": LONG}]
    assert [talk.turn(name) for talk, name in zip(talks, "abcde", strict=True)] == [()] * 5
    assert [talk.turn("x") for talk in talks] == [(name,) for name in "abcde"]


def test_a_text_that_is_quoted_in_another_conversation_does_not_merge_them() -> None:
    house = House()
    Talk(house).turn("a", LONG)
    assert Talk(house, f"Another one said: {LONG}").turn("b") == ()


def test_an_id_that_several_were_given_is_anybodys() -> None:
    house = House()
    first, second = Talk(house, "one"), Talk(house, "two")
    for talk, credential in ((first, "a"), (second, "b")):
        house.call(talk.evidence, credential, said("Fine.", "toolu_of_every_conversation"))
        call = {"id": "toolu_of_every_conversation", "function": {"name": "ls", "arguments": "{}"}}
        talk.messages += [
            {"role": "assistant", "content": "Fine.", "tool_calls": [call]},
            {"role": "tool", "content": "nothing"},
        ]
    assert house.find(first.evidence).prefer == ("a",)  # by what was asked and answered
    assert house.find(second.evidence).prefer == ("b",)


@pytest.mark.parametrize("kept", [2, 4, 6])
def test_a_conversation_that_is_compacted_is_known_again(kept: int) -> None:
    """Its client replaces what is old by a summary."""
    house = House()
    talk = Talk(house, "The task is this.")
    talk.turn("a")
    for n in range(8):
        assert talk.turn("b", f"{LONG} {n}", then=f"Next {n}") == ("a",)
    talk.messages[: -kept - 1] = [{"role": "user", "content": "So far you have done a lot."}]
    if talk.messages[1]["role"] == "user":
        talk.messages.pop(0)
    assert talk.turn("b") == ("a",)
    assert talk.turn("b") == ("a",)


def test_short_turns_count_together_where_the_beginning_is_gone() -> None:
    house = House()
    talk = Talk(house, "The task is this.")
    talk.turn("a", then="x " * 200)
    talk.turn("b", "Done.")
    talk.messages[0] = {"role": "user", "content": "A summary."}
    assert talk.turn("b") == ("a",)


def test_a_client_that_changes_answers_is_known_by_what_it_asked() -> None:
    house = House()
    talk = Talk(house, LONG)
    talk.turn("a", "<think>Hm.</think>Hello!")
    talk.messages[1]["content"] = "Hello!"
    assert talk.turn("b") == ("a",)


def test_other_clients_with_the_same_words_are_others() -> None:
    house = House()
    Talk(house).turn("a", LONG)
    body = {"messages": [*Talk(house).messages, {"role": "assistant", "content": LONG}]}
    assert house.find(evidence(body)).prefer == ("a",)
    assert house.find(evidence(body, client="another")).prefer == ()


def test_marks_are_bounded() -> None:
    house = House(Sessions(most_marks=4))
    talks = [Talk(house, f"Question {n}") for n in range(10)]
    for talk in talks:
        talk.turn("a", f"Answer {talk.messages}")
    assert len(house.sessions._marks) == 4
    assert talks[0].turn("b") == ()


def test_of_one_mark_few_claims_are_kept() -> None:
    house = House()
    talks = [Talk(house, connection=str(n)) for n in range(MOST_CLAIMS + 3)]
    for talk in talks:
        talk.turn("a")
    assert all(len(mark.claims) <= MOST_CLAIMS + 1 for mark in house.sessions._marks.values())
    assert [talk.turn("b") for talk in talks] == [("a",)] * MOST_CLAIMS + [()] * 3


# -- agents of one session --------------------------------------------------------------------------------


@pytest.mark.parametrize(("spread", "prefer"), [(False, ("a",)), (True, ())])
def test_sub_agents_may_be_spread(spread: bool, prefer: tuple[str, ...]) -> None:
    house = House(spread=spread)
    main, agent = (Evidence(session=b"s", agent=each) for each in (b"main", b"agent"))
    house.call(main, "a")
    assert house.call(agent, "b").prefer == prefer
    assert house.call(agent, "c").prefer == (prefer or ("b",))
    assert house.call(main, "c").prefer == ("a",)


# -- many at once -----------------------------------------------------------------------------------------


TURNS = st.tuples(st.integers(0, 4), st.sampled_from(["Yes.", "No.", LONG]), st.sampled_from("xyz"))


@given(st.lists(TURNS, max_size=40))
def test_conversations_that_differ_are_never_merged(turns: list[tuple[int, str, str]]) -> None:
    """Though they get the same answers, and their clients take turns on connections."""
    house, credential = House(), (f"key-{n}" for n in count())
    talks = [Talk(house, f"Opening {n}") for n in range(5)]
    homes: dict[int, tuple[str, ...]] = {}
    for index, answer, connection in turns:
        own, talk = next(credential), talks[index]
        talk.connection = connection
        assert talk.turn(own, answer) == homes.get(index, ())
        homes.setdefault(index, (own,))
