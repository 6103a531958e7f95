"""Limits in the pool: what answers teach, and what is counted of an attempt."""

import pytest
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from protocols.model.call import Call, Operation
from protocols.model.http import Headers
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject
from rewrite.catalog.providers import FairCycle, ModelFacts, Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.credentials.windows import Period, Unit, Window
from rewrite.values.events import Acquire, Release
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected

NOW = 1_795_000_000.0
GROUPS = (ModelFacts("gpt-5*", quota_group="five"),)
TOKENS = Window(Unit.TOKENS, 100, Period.DAY)
NOTHING_LEFT: Headers = (
    ("x-ratelimit-limit-requests", "10"),
    ("x-ratelimit-remaining-requests", "0"),
    ("x-ratelimit-reset-requests", "30s"),
)
WEEK_OVER: Headers = (
    ("x-codex-secondary-used-percent", "100"),
    ("x-codex-secondary-reset-after-seconds", "9"),
)


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool(clock: Clock, *credentials: Credential, cycle: FairCycle = FairCycle.OFF) -> Pool:
    known = Provider("p", "https://p", ("p",), ("openai_chat",), models=GROUPS, fair_cycle=cycle)
    listed = tuple(PoolCredential(one, SecretStr(f"sk-key-of-{one.name}")) for one in credentials)
    found = Pool(clock, lambda _: None)
    found.configure(Settings(providers=(Configured(known, listed),)))
    return found


def call(model: str = "m") -> Call:
    return Call("c", "openai_chat", Operation.GENERATE, model, True, (), text_bytes=40)


def asker(of: Call) -> Asker:
    return Asker("openai_chat", "127.0.0.1", call=of)


def take(found: Pool, model: str = "m") -> Lease:
    lease = found.acquire("p", call(model), Acquire(1), asker(call(model)))
    assert isinstance(lease, Lease), lease
    return lease


def serve(
    found: Pool,
    model: str = "m",
    headers: Headers = (),
    outcome: Outcome | None = None,
    usage: Usage | None = None,
) -> str:
    lease, ended = take(found, model), outcome or Completed()
    found.learn("p", lease, call(model), headers)
    release = Release(1, ended, Progress(usage=usage, ended=True))
    found.release("p", lease, call(model), ended, asker(call(model)), release)
    return lease.name


def one(name: str, *windows: Window) -> Credential:
    return Credential(name, "p", windows=windows)


def test_a_key_whose_limit_is_used_up_is_asked_after_the_others(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"))
    assert serve(found, headers=NOTHING_LEFT) == "a"
    assert [serve(found), serve(found, "other")] == ["b", "a"]
    clock.now += 30
    assert serve(found) == "a"


def test_what_an_answer_of_a_group_says_is_of_the_group(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"))
    serve(found, "gpt-5", NOTHING_LEFT)
    assert [serve(found, "gpt-5-mini"), serve(found, "m")] == ["b", "a"]


def test_what_passed_through_teaches_what_holds_for_all_models(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"))
    lease = found.account("p")
    assert lease is not None
    found.passed("p", lease, 200, NOTHING_LEFT, {})
    assert serve(found) == "a"
    found.passed("p", lease, 200, WEEK_OVER, {})
    assert serve(found) == "b"


@pytest.mark.parametrize(
    ("status", "headers", "body", "serves"),
    [
        (429, (("retry-after", "20"),), {}, "b"),
        (429, (), {"error": {"details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "20s"}]}}, "b"),
        (429, (), {}, "a"),
        (503, (("retry-after", "20"),), {}, "a"),
    ],
)
def test_a_wait_that_was_asked_for_in_passing_is_kept(
    clock: Clock, status: int, headers: Headers, body: JsonObject, serves: str
) -> None:
    found = pool(clock, one("a"), one("b"))
    lease = found.account("p")
    assert lease is not None
    found.passed("p", lease, status, headers, body)
    assert serve(found) == serves
    clock.now += 20
    assert serve(found) == "a"


def test_resumed_keys_have_used_what_they_used(clock: Clock) -> None:
    found = pool(clock, one("a", TOKENS), one("b"))
    serve(found, usage=Usage(90, 10))
    found.resume("p")
    assert serve(found) == "b"


def test_an_old_key_teaches_the_new_one_nothing(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"))
    lease = take(found)
    other = Provider("p", "https://p", ("p",), ("openai_chat",))
    keys = (
        PoolCredential(one("a"), SecretStr("sk-other")),
        PoolCredential(one("b"), SecretStr("sk-b")),
    )
    found.configure(Settings(providers=(Configured(other, keys),)))
    found.learn("p", lease, call(), NOTHING_LEFT)
    assert serve(found) == "a"


def test_tokens_of_an_answer_fill_a_window(clock: Clock) -> None:
    found = pool(clock, one("a", TOKENS), one("b"))
    assert [serve(found, usage=Usage(50, 10)) for _ in range(3)] == ["a", "a", "b"]
    assert serve(found, "other", usage=Usage(50, 10)) == "a"
    clock.now += 86_400
    assert serve(found) == "a"


def test_what_is_known_of_limits_outlives_new_settings(clock: Clock) -> None:
    found = pool(clock, one("a", TOKENS))
    serve(found, usage=Usage(90, 10))
    known = Provider("p", "https://p", ("p",), ("openai_chat",))
    larger = PoolCredential(one("a", Window(Unit.TOKENS, 200, Period.DAY)), SecretStr("sk-key-of-a"))
    found.configure(Settings(providers=(Configured(known, (larger,)),)))
    assert serve(found, usage=Usage(90, 10)) == "a"
    none = found.acquire("p", call(), Acquire(1), asker(call()))
    assert isinstance(none, Unavailable)
    (why,) = none.keys
    assert why.startswith("p/a has used its 200 tokens per day, and may be used again in ")


def test_a_rate_limit_of_a_group_is_one_of_all_its_models(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"))
    limited = Rejected(429, Kind.RATE, retry_after=30.0)
    assert serve(found, "gpt-5", outcome=limited) == "a"
    assert [serve(found, "gpt-5-mini"), serve(found, "m")] == ["b", "a"]


def test_a_fair_cycle_lets_the_others_have_their_turn(clock: Clock) -> None:
    found = pool(clock, one("a"), one("b"), cycle=FairCycle.TIER)
    limited = Rejected(429, Kind.RATE, retry_after=10.0)
    served = [serve(found, outcome=limited)]
    for outcome in (Completed(), limited, Completed()):
        clock.now += 20
        served.append(serve(found, outcome=outcome))
    assert served == ["a", "b", "b", "a"]
