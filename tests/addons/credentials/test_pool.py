"""The pool over time: what new settings keep, which conversation stays where."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from protocols.model.call import Call, Operation
from protocols.model.http import WireResponse
from protocols.model.parts import BlockDelta, BlockKind, BlockStart
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Provider, Rotation
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.credentials.notices import Notice
from rewrite.credentials.sessions import TTL
from rewrite.policies.classify import LONGEST_MESSAGE
from rewrite.values.decision import Ended
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected

ASKER = Asker("openai_chat", "127.0.0.1 sdk/1.0")
RATE = Rejected(429, Kind.RATE, retry_after=30.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(
    keys: Iterable[tuple[str, str]], rotation: Rotation = Rotation.SEQUENTIAL, *others: Configured
) -> Settings:
    known = Provider("p", "https://p", ("p",), ("openai_chat",), rotation=rotation)
    pool = tuple(PoolCredential(Credential(name, "p"), SecretStr(key)) for name, key in keys)
    return Settings(providers=(Configured(known, pool), *others))


def call(session: str | None = None, model: str = "m", id: str = "c") -> Call:
    return Call(id, "openai_chat", Operation.GENERATE, model, True, (), session=session)


TWO = [("one", "k1"), ("two", "k2")]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Pool:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO))
    return pool


def asker(of: Call) -> Asker:
    return Asker("openai_chat", ASKER.client, call=of)


def take(pool: Pool, of: Call) -> Lease:
    lease = pool.acquire("p", of, Acquire(1), asker(of))
    assert isinstance(lease, Lease)
    return lease


def serve(pool: Pool, of: Call, outcome: Outcome, *attempts: Acquire) -> str:
    """A call of so many attempts, of which the last comes to `outcome`: the credential of that."""
    asked, name = asker(of), ""
    for attempt in attempts or (Acquire(1),):
        lease = pool.acquire("p", of, attempt, asked)
        assert isinstance(lease, Lease)
        pool.release("p", lease, of, outcome, asked)
        name = lease.name
    if isinstance(outcome, Completed):
        ended = (Ended(1, name, outcome, 0.0),)
        pool.answered("p", Summary("completed", "", ended, Progress(ended=True), 0.0, 1.0), asked)
    return name


def in_flight(pool: Pool) -> dict[str, int]:
    return {name: state.in_flight for name, state in pool.states["p"].states.items()}


def test_a_lease_has_the_secret_and_says_nothing_of_it(pool: Pool) -> None:
    lease = take(pool, call())
    assert (lease.name, lease.secret.get_secret_value(), lease.pooled) == ("one", "k1", True)
    assert "k1" not in repr(lease)
    assert in_flight(pool) == {"one": 1}
    pool.release("p", lease, call(), Completed(), ASKER)
    assert in_flight(pool) == {"one": 0}


def test_what_cools_is_not_given_out(pool: Pool, clock: Clock) -> None:
    assert [serve(pool, call(), RATE), serve(pool, call(), RATE)] == ["one", "two"]
    answer = pool.acquire("p", call(), Acquire(1), ASKER)
    assert answer == Unavailable(30.0)
    assert serve(pool, call(model="other"), Completed()) == "one"
    clock.now += 30
    assert serve(pool, call(), Completed()) == "one"


def test_a_refused_list_of_models_cools_no_model(pool: Pool) -> None:
    listing = replace(call(), operation=Operation.MODELS, model=None)
    assert serve(pool, listing, Rejected(403, Kind.FORBIDDEN)) == "one"
    assert [take(pool, listing).name, take(pool, call()).name] == ["two", "one"]


def test_what_refused_a_call_or_rests_in_it_is_not_given_out(pool: Pool) -> None:
    one = frozenset({"one"})
    for asked in (Acquire(2, refused=one), Acquire(2, resting=one)):
        lease = pool.acquire("p", call(), asked, ASKER)
        assert isinstance(lease, Lease)
        assert lease.name == "two"
    both = Acquire(3, refused=one, resting=frozenset({"two"}))
    assert pool.acquire("p", call(), both, ASKER) == Unavailable(0.0)


def test_a_conversation_stays_where_it_was_served(pool: Pool, clock: Clock) -> None:
    here = call("here")
    assert [serve(pool, here, RATE), serve(pool, here, Completed())] == ["one", "two"]
    clock.now += TTL
    assert serve(pool, call(), Completed()) == "one"
    lease = take(pool, here)
    assert (lease.name, lease.former) == ("two", "two")
    assert take(pool, call("there")).former is None


def test_a_conversation_goes_back_when_its_key_is_free_again(pool: Pool, clock: Clock) -> None:
    here = call("here")
    assert [serve(pool, here, Completed()), serve(pool, here, RATE)] == ["one", "one"]
    assert serve(pool, here, Completed()) == "two"
    clock.now += 30
    assert take(pool, here).name == "one"


def test_a_failure_that_passes_moves_no_conversation(pool: Pool) -> None:
    here = call("here")
    serve(pool, here, Completed())
    again = Acquire(2, avoid=frozenset({"one"}))
    assert serve(pool, here, Completed(), Acquire(1), again) == "two"
    assert take(pool, here).name == "one"


def test_calls_of_one_conversation_at_once_go_together(clock: Clock) -> None:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO, Rotation.ROUND_ROBIN))
    assert [take(pool, call("here")).name, take(pool, call("here")).name] == ["one", "one"]
    assert take(pool, call("there")).name == "two"


def test_a_call_that_waited_follows_those_of_its_conversation_that_did_not(clock: Clock) -> None:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO, Rotation.ROUND_ROBIN))
    here, late = call("here"), asker(call("here"))
    both = Acquire(1, resting=frozenset({"one", "two"}))
    assert isinstance(pool.acquire("p", here, both, late), Unavailable)
    assert [take(pool, each).name for each in (call("there"), here)] == ["one", "two"]
    lease = pool.acquire("p", here, Acquire(1), late)
    assert isinstance(lease, Lease)
    assert lease.name == "two"


def test_what_an_account_keeps_is_asked_for_with_its_key(clock: Clock) -> None:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO, Rotation.ROUND_ROBIN))
    kept = replace(call(), body={"conversation": "conv_1", "input": "hi"}, session="conv_1")
    assert [take(pool, each).name for each in (call(), kept, call())] == ["one", "one", "two"]


def test_conversations_that_are_known_by_their_history_are_two_witnesses(pool: Pool, clock: Clock) -> None:
    def asked(*texts: str) -> Call:
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
        return replace(call(), body={"messages": messages})

    down = Rejected(503, Kind.SERVER)
    said = Progress(ended=True)
    said.fold([BlockStart(0, 0, BlockKind.TEXT), BlockDelta(0, 0, BlockKind.TEXT, "Hello!")])
    for opening in ("one", "two"):
        first = asker(asked(opening))
        lease = pool.acquire("p", asked(opening), Acquire(1), first)
        assert isinstance(lease, Lease)
        pool.release("p", lease, asked(opening), Completed(), first)
        ended = (Ended(1, lease.name, Completed(), 0.0),)
        pool.answered("p", Summary("completed", "", ended, said, 0.0, 1.0), first)
        clock.now += 1
    news = [asked("three"), asked("four")]
    known = [asked(opening, "Hello!", "on") for opening in ("one", "two")]
    witnesses = []
    for each in (*news, *known):
        serve(pool, each, down)
        witnesses.append(pool.states["p"].health["model:m"].failures[-1].witness)
    assert len({*witnesses[:2]}) == 1
    assert len({*witnesses[1:]}) == 3


def test_where_there_is_nothing_to_choose_nothing_is_looked_at(clock: Clock) -> None:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO[:1]))
    asked = asker(call("here"))
    assert isinstance(pool.acquire("p", call("here"), Acquire(1), asked), Lease)
    assert asked.found == {}
    assert pool.conversations.sessions.count(clock()) == 0


def test_an_attempt_that_failed_binds_nothing(pool: Pool) -> None:
    here = call("here")
    serve(pool, here, RATE)
    assert take(pool, here).former is None


def test_round_robin_continues_after_the_last(clock: Clock) -> None:
    pool = Pool(clock, lambda _: None)
    pool.configure(settings(TWO, Rotation.ROUND_ROBIN))
    assert [serve(pool, call(), Completed()) for _ in range(4)] == ["one", "two", "one", "two"]


def test_new_settings_keep_the_state_of_a_key_that_stays(pool: Pool) -> None:
    serve(pool, call(), RATE)
    pool.configure(settings([("one", "k1"), ("new", "k3")]))
    assert serve(pool, call(), Completed()) == "new"


def test_new_settings_forget_the_state_of_a_key_that_changed(pool: Pool) -> None:
    serve(pool, call(), RATE)
    pool.configure(settings([("one", "another"), ("two", "k2")]))
    lease = take(pool, call())
    assert (lease.name, lease.secret.get_secret_value()) == ("one", "another")


def test_a_credential_that_was_removed_meanwhile_is_skipped(pool: Pool) -> None:
    here = call("here")
    lease = take(pool, here)
    pool.configure(settings([("two", "k2")]))
    pool.release("p", lease, here, Completed(), ASKER)
    assert take(pool, here).name == "two"


@pytest.mark.parametrize("between", [[], [("one", "another")]])
def test_calls_with_a_key_that_comes_back_still_count(pool: Pool, between: list[tuple[str, str]]) -> None:
    first, second = take(pool, call("a")), take(pool, call("b"))
    pool.configure(settings(between))
    pool.release("p", first, call("a"), Completed(), ASKER)
    pool.configure(settings(TWO[:1]))
    assert in_flight(pool) == {"one": 1}
    third = take(pool, call("c"))
    for lease, of in ((second, "b"), (third, "c")):
        pool.release("p", lease, call(of), Completed(), ASKER)
    assert in_flight(pool) == {"one": 0}


def test_a_provider_that_was_removed_meanwhile_is_skipped(pool: Pool) -> None:
    lease = take(pool, call())
    pool.configure(Settings())
    pool.release("p", lease, call(), RATE, ASKER)
    assert pool.secrets() == []


def test_an_account_is_always_the_same(pool: Pool) -> None:
    for _ in range(2):
        serve(pool, call(), Rejected(401, Kind.AUTH))
        lease = pool.account("p")
        assert lease is not None
        assert lease.name == "one"


def test_without_a_pool_there_is_no_account(pool: Pool) -> None:
    pool.configure(settings([]))
    assert pool.account("p") is None
    assert not pool.has("p")


def test_an_old_key_s_outcome_does_not_touch_the_new_one(pool: Pool) -> None:
    lease = take(pool, call())
    pool.configure(settings([("one", "another"), ("two", "k2")]))
    pool.release("p", lease, call(), Rejected(401, Kind.AUTH), ASKER)
    assert take(pool, call()).name == "one"


def test_a_call_that_continues_from_an_answer_stays_with_the_key_that_made_it(pool: Pool) -> None:
    pool.made("p", "resp_1", "two")
    bodies = ({"previous_response_id": each, "input": "on"} for each in ("resp_1", "resp_2"))
    assert [take(pool, replace(call(), body=body)).name for body in bodies] == ["two", "one"]


# -- refused keys -----------------------------------------------------------------------------------------

ECHOED = "Incorrect API key: sk-a-whole-pool-key"
ECHO = WireResponse(401, (), dump({"error": {"message": ECHOED}}))
REFUSED = Rejected(401, Kind.AUTH, ECHOED, None, ECHO)
ONE = [("OPENAI_API_KEY_1", "sk-a-whole-pool-key")]


def refused_pool(clock: Clock, said: list[Notice]) -> Pool:
    pool = Pool(clock, said.append)
    pool.configure(settings(ONE))
    assert serve(pool, call(), REFUSED) == "OPENAI_API_KEY_1"
    return pool


def test_a_refusal_is_kept_without_the_key_that_the_provider_repeats(clock: Clock) -> None:
    said: list[Notice] = []
    found = refused_pool(clock, said).acquire("p", call(), Acquire(1), ASKER)
    assert isinstance(found, Unavailable)
    assert found.refused is not None
    answer = found.refused.refusal.answer
    assert answer is not None
    assert b"Incorrect API key: ****" in answer.body
    assert "sk-a-whole" not in repr(found) + said[0].text


def test_nor_with_any_other_key_of_the_pools(clock: Clock) -> None:
    other = "sk-another-whole-key"
    pool = Pool(clock, lambda _: None)
    pool.configure(settings([*ONE, ("two", other)]))
    said = f"{ECHOED} or {other}"
    assert serve(pool, call(), Rejected(401, Kind.AUTH, said)) == "OPENAI_API_KEY_1"
    assert "or ****" in repr(pool.states["p"])
    assert other not in repr(pool.states["p"])


def test_resuming_names_all_a_provider_or_a_key(clock: Clock) -> None:
    for which in ((), ("p",), ("p", "OPENAI_API_KEY_1")):
        pool = refused_pool(clock, [])
        assert [pool.resume("q"), pool.resume("p", "q"), pool.resume(*which)] == [0, 0, 1]
        assert serve(pool, call(), Completed()) == "OPENAI_API_KEY_1"


def test_new_settings_let_a_refused_key_be_tried_again(clock: Clock) -> None:
    said: list[Notice] = []
    pool = refused_pool(clock, said)
    pool.configure(settings(ONE))
    assert serve(pool, call(), REFUSED) == "OPENAI_API_KEY_1"
    assert [one.warning for one in said] == [True, True]


def test_a_message_that_was_cut_inside_the_key_is_kept_without_its_half(clock: Clock) -> None:
    said: list[Notice] = []
    pool = Pool(clock, said.append)
    pool.configure(settings(ONE))
    cut = f"{'x' * (LONGEST_MESSAGE - 12)}sk-a-whole-p"
    answer = WireResponse(401, (("x-key", "sk-a-whole-pool-key"),), b"no", "sk-a-whole-pool-key")
    serve(pool, call(), Rejected(401, Kind.AUTH, cut, None, answer))
    found = pool.acquire("p", call(), Acquire(1), ASKER)
    assert "sk-a-whole" not in repr(found) + said[0].text
