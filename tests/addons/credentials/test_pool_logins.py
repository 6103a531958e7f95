"""Logins in a pool: whose calls they serve, and what a new token changes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.asking import Asking
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.oauth.logins import Logins
from addons.secrets.logins import Login
from protocols.model.call import Call, Operation
from rewrite.catalog.clients import ClientFacts
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.oauth.refreshing import TokenClient
from rewrite.values.events import Acquire, AwaitCredential
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected
from tests.rewrite.oauth.logins import CLAUDE, EXPIRES, claude_file

CALL = Call("c", "anthropic_messages", Operation.GENERATE, "m", True, ())
REFUSED = Rejected(401, Kind.AUTH, "expired")
QUOTA = Rejected(429, Kind.QUOTA, "5 hours", 7200.0)


def of(tool: str, call: Call = CALL) -> Asker:
    return Asker("anthropic_messages", "127.0.0.1", call=call, facts=ClientFacts(tool, "*"))


@dataclass(frozen=True, slots=True)
class Alarm:
    """Nobody rings it: what is looked at is looked at when something happens."""

    then: Callable[[], None]

    def cancel(self) -> None:
        """It never rings."""


class House:
    """A pool of a login and, maybe, a key beside it."""

    def __init__(
        self, file: Path, *, key: bool = False, any_client: bool = False, places: int | None = None
    ) -> None:
        self.now, self.file = EXPIRES - 1000.0, file
        self.write("first")
        login = Login(CLAUDE, file, TokenClient("https://a.test"), any_client)
        credential = Credential("login", "p", max_concurrency=places, clients=login.clients)
        one = PoolCredential(credential, SecretStr("first"), login)
        two = PoolCredential(Credential("key", "p", 2), SecretStr("the-key"))
        known = Provider("p", "https://p", ("p",), ("anthropic_messages",), queue_limit=9)
        self.logins = Logins(lambda: self.now)
        self.pool = Pool(lambda: self.now, lambda _: None, self.logins, lambda _, then: Alarm(then))
        self.settings = Settings(providers=(Configured(known, (one, two) if key else (one,)),))
        self.pool.configure(self.settings)

    def write(self, access: str) -> None:
        self.file.write_text(claude_file(access))
        self.file.chmod(0o600)

    def acquire(self, tool: str = "claude") -> Lease | Unavailable:
        found = self.pool.acquire("p", CALL, Acquire(1), of(tool))
        assert not isinstance(found, Asking)
        return found

    def take(self, tool: str = "claude") -> Lease:
        lease = self.acquire(tool)
        assert isinstance(lease, Lease)
        return lease

    def wait(self, tool: str, got: dict[str, Lease | Unavailable]) -> None:
        wanted = AwaitCredential(1, Acquire(1), 60.0)
        ticket = self.pool.queues.ticket()
        assert self.pool.wait("p", CALL, wanted, of(tool), ticket, partial(got.__setitem__, tool))

    def release(self, lease: Lease, outcome: Outcome) -> None:
        self.pool.release("p", lease, CALL, outcome, of("claude"))


@pytest.fixture
def house(tmp_path: Path) -> Callable[..., House]:
    def made(*, key: bool = False, any_client: bool = False, places: int | None = None) -> House:
        return House(tmp_path / "login.json", key=key, any_client=any_client, places=places)

    return made


def test_a_login_serves_its_own_tool_alone(house: Callable[..., House]) -> None:
    two = house(key=True)
    assert (two.take("claude").name, two.take("unknown").name) == ("login", "key")
    account = two.pool.account("p", "unknown")
    assert account is not None
    assert account.name == "key"
    alone = house().acquire("unknown")
    assert isinstance(alone, Unavailable)
    assert (alone.wait, alone.refused) == (None, None)
    assert alone.keys == ("p/login is a login of claude and serves its calls alone (see any_client)",)
    assert house().pool.account("p", "unknown") is None
    assert house(any_client=True).take("unknown").name == "login"


def test_who_waits_for_a_login_is_not_kept_out_by_who_may_not_use_it(house: Callable[..., House]) -> None:
    two = house(key=True, places=1)
    lease = two.take("claude")
    two.pool.cool("p", "key", 50.0)
    got: dict[str, Lease | Unavailable] = {}
    for tool in ("unknown", "claude"):
        two.wait(tool, got)
    two.release(lease, Completed())
    assert [*got] == ["claude"]
    assert isinstance(got["claude"], Lease)
    assert got["claude"].name == "login"


def test_what_an_account_keeps_is_asked_for_with_the_login_of_its_tool(house: Callable[..., House]) -> None:
    """As what passes through on it."""
    two = house(key=True)
    two.pool.cool("p", "login", 50.0)
    kept = replace(CALL, body={"conversation": "conv_1"})
    account = two.pool.account("p", "claude")
    assert account is not None
    found = two.pool.conversations.found("p", two.pool.states["p"], of("claude", kept), two.now)
    assert found.prefer == (account.name,) == ("login",)


def test_a_lease_is_released_whatever_the_token_is_by_then(house: Callable[..., House]) -> None:
    one = house()
    lease = one.take()
    assert lease.secret.get_secret_value() == "first"
    one.write("second")
    assert lease.source is not None
    assert lease.source.look()
    renewed = structs.replace(lease, secret=SecretStr("second"))
    assert one.pool.states["p"].state("login").in_flight == 1
    one.release(renewed, QUOTA)
    assert one.pool.states["p"].state("login").in_flight == 0
    assert isinstance(one.acquire(), Unavailable)


@pytest.mark.parametrize(("outcome", "serves"), [(REFUSED, True), (QUOTA, False)])
def test_a_new_token_ends_a_refusal_of_the_one_before_and_nothing_else(
    house: Callable[..., House], outcome: Outcome, serves: bool
) -> None:
    one = house()
    lease = one.take()
    one.release(lease, outcome)
    assert isinstance(one.acquire(), Unavailable)
    one.write("second")
    assert lease.source is not None
    lease.source.look()
    assert isinstance(one.acquire(), Lease) is serves


def test_new_settings_keep_a_login_with_its_cooldowns(house: Callable[..., House]) -> None:
    one = house()
    one.release(one.take(), Rejected(429, Kind.RATE, retry_after=30.0))
    one.write("second")
    one.pool.configure(one.settings)
    assert isinstance(one.acquire(), Unavailable)
    one.now += 30
    lease = one.take()
    assert lease.source is not None
    assert lease.source.at_once()
    account = one.pool.account("p", "claude")
    assert account is not None
    assert account.secret.get_secret_value() == "second"


def test_a_login_that_was_removed_meanwhile_is_skipped(house: Callable[..., House]) -> None:
    one = house()
    lease = one.take()
    one.pool.configure(Settings())
    one.release(lease, REFUSED)
    assert one.pool.secrets() == []


def test_calls_with_a_login_that_comes_back_still_count(house: Callable[..., House]) -> None:
    one = house()
    lease = one.take()
    one.pool.configure(Settings())
    one.pool.configure(one.settings)
    assert one.pool.states["p"].state("login").in_flight == 1
    one.release(lease, Completed())
    assert one.pool.states["p"].state("login").in_flight == 0


def test_all_tokens_are_secrets_of_the_pool(house: Callable[..., House]) -> None:
    found = {each.get_secret_value() for each in house(key=True).pool.secrets()}
    assert found == {"first", "sk-ant-ort01-old", "the-key"}
