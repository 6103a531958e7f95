"""Providers that are asked what keys have used, by real requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.call.checking import Checker
from addons.config.credentials import PoolCredential
from addons.config.provider_files import built_in
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.pool import Pool
from addons.oauth.logins import Logins
from addons.secrets.logins import Login
from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from protocols.model.http import Headers
from rewrite.catalog.checks import CheckedLimit, QuotaCheck
from rewrite.catalog.provider_tables import provider
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.credentials.notices import Notice
from rewrite.credentials.state import WHOLE
from rewrite.hooks.base import About, Hooks, Unsigned
from rewrite.hooks.calling import ProviderHooks
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient
from tests.addons.oauth.places import DEAD, LATE, PATH, Place, granted
from tests.addons.upstream.peer import until
from tests.rewrite.oauth.logins import (
    ANTIGRAVITY,
    CLAUDE,
    COPILOT,
    EXPIRES,
    GEMINI,
    antigravity_file,
    claude_file,
    copilot_file,
    gemini_file,
)
from tests.vendor import Vendor, chat_error
from tests.vendor.script import whole

NOW = 1_795_000_000.0
SPENT = b'{"data": {"limit": 20, "limit_remaining": 0}}'
LIMITS = (CheckedLimit("credits", "data", "cost", limit="limit", left="limit_remaining"),)
KEYS = ("sk-key-of-one-of-two", "sk-key-of-the-other")


def known(name: str) -> QuotaCheck:
    """How a provider of ours is asked."""
    check = provider(name, built_in()[name]).quota_check
    assert check is not None
    return check


class House:
    """A checker with a pool of two keys, of which the first is to be asked about."""

    def __init__(
        self, vendor: Vendor, check: QuotaCheck, logins: Logins | None = None, login: Login | None = None
    ) -> None:
        self.said: list[Notice] = []
        self.faults: list[str] = []
        self.pool = Pool(lambda: NOW, self.said.append, logins)
        asked = Provider("p", vendor.base_url, ("p",), ("openai_chat",), quota_check=check)
        keys = tuple(
            PoolCredential(
                Credential(name, "p", check=name == "a"), SecretStr(key), login if name == "a" else None
            )
            for name, key in zip("ab", KEYS, strict=True)
        )
        self.settings = Settings(providers=(Configured(asked, keys),))
        self.pool.configure(self.settings)
        self.checker = Checker(self.pool, self.said.append, self.failed, interval=0.01)

    def failed(self, where: str, error: BaseException) -> None:
        self.faults.append(f"{where}: {error}")

    @property
    def learnt(self) -> dict[str, list[tuple[str, str]]]:
        return {name: [*state.learnt] for name, state in self.pool.states["p"].states.items()}


@asynccontextmanager
async def running(
    vendor: Vendor, check: QuotaCheck, logins: Logins | None = None, login: Login | None = None
) -> AsyncIterator[House]:
    """`login`: of the first credential, in the place of a key."""
    house = House(vendor, check, logins, login)
    upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
    house.checker.configure(house.settings, upstream)
    house.checker.start()
    try:
        yield house
    finally:
        house.checker.stop()
        await upstream.close()


async def asked(vendor: Vendor, times: int) -> None:
    """Wait until so many requests have come."""
    await until(lambda: len(vendor.requests) >= times)


async def test_the_keys_that_are_wanted_are_asked_about_again_and_again() -> None:
    async with Vendor() as vendor:
        vendor.reply(whole(SPENT), 100)
        async with running(vendor, QuotaCheck("/api/v1/key", LIMITS)) as house:
            await asked(vendor, 3)
        assert house.learnt == {"a": [("credits", WHOLE)]}
        assert {(one.path, one.credential) for one in vendor.requests} == {("/api/v1/key", KEYS[0])}
        assert house.said == []


async def test_a_check_that_fails_is_reported_once_and_does_the_key_no_harm() -> None:
    async with Vendor() as vendor:
        vendor.reply(chat_error(401, "no", "no"), 100)
        async with running(vendor, QuotaCheck("/api/v1/key", LIMITS)) as house:
            await asked(vendor, 3)
        assert house.learnt == {}
        (notice,) = house.said
        assert notice.warning
        assert notice.text == "p/a: check: what it has used is not known: it answers 401"


async def test_keys_are_not_asked_about_where_only_logins_are_checked() -> None:
    check = QuotaCheck("/usage", LIMITS, logins_only=True)
    async with Vendor() as vendor, running(vendor, check) as house:
        assert [*house.checker._leases()] == []


class Signing(Hooks):
    """Signs requests."""

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        return None


async def test_keys_that_sign_are_not_sent_to_ask_about_them() -> None:
    async with Vendor() as vendor, running(vendor, QuotaCheck("/usage", LIMITS)) as house:
        (one,) = house.settings.providers
        signing = replace(one, hooks=ProviderHooks("p", Signing()))
        assert house.checker._upstream is not None
        house.checker.configure(replace(house.settings, providers=(signing,)), house.checker._upstream)
        assert [*house.checker._leases()] == []


async def test_a_login_that_is_due_is_refreshed_before_it_is_asked_about(tmp_path: Path) -> None:
    async with Vendor() as vendor:
        vendor.on(path=PATH).reply(granted("sk-ant-oat01-new"))
        vendor.on(path="/usage").reply(whole(SPENT), 100)
        place = Place(tmp_path, CLAUDE, vendor)
        place.write(claude_file())
        check = QuotaCheck("/usage", LIMITS, logins_only=True)
        async with running(vendor, check, Logins(lambda: LATE), place.login) as house:
            await asked(vendor, 3)
        assert [(one.path, one.credential) for one in vendor.requests][1] == ("/usage", "sk-ant-oat01-new")
        assert house.learnt == {"a": [("credits", WHOLE)]}
        assert house.said == []


async def test_a_login_that_has_ended_is_not_asked_about(tmp_path: Path) -> None:
    async with Vendor() as vendor:
        vendor.on(path=PATH).reply(DEAD, 100)
        place = Place(tmp_path, CLAUDE, vendor)
        place.write(claude_file())
        check = QuotaCheck("/usage", LIMITS, logins_only=True)
        async with running(vendor, check, Logins(lambda: LATE), place.login) as house:
            await asked(vendor, 1)
            await until(lambda: bool(house.said))
        assert {one.path for one in vendor.requests} == {PATH}
        (notice,) = house.said
        assert notice.text == "p/a: check: what it has used is not known: there is no token to ask with"


async def test_github_is_asked_with_its_own_token_where_that_is_exchanged(tmp_path: Path) -> None:
    async with Vendor() as vendor, Vendor() as github:
        answer = b'{"quota_snapshots": {"chat": {"percent_remaining": 0, "unlimited": false}}}'
        github.on(path="/github/copilot_internal/user").reply(whole(answer), 100)
        place = Place(tmp_path, COPILOT, github, path="/github/copilot_internal/v2/token")
        place.write(copilot_file())
        async with running(vendor, known("github_copilot"), Logins(lambda: LATE), place.login) as house:
            await asked(github, 3)
        assert house.learnt == {"a": [("x-quota-snapshot-chat", WHOLE)]}
        assert {(one.method, one.target) for one in github.requests} == {
            ("GET", "/github/copilot_internal/user")
        }
        assert {one.header("authorization") for one in github.requests} == {"token gho_old"}
        assert vendor.requests == []
        assert house.said == []


async def test_github_s_token_does_not_go_where_it_is_not_exchanged(tmp_path: Path) -> None:
    """The root of a host may be another's."""
    async with Vendor() as vendor:
        vendor.reply(whole(SPENT), 100)
        place = Place(tmp_path, COPILOT, vendor)
        place.write(copilot_file())
        client = TokenClient(f"{vendor.base_url}/exchange")
        login = replace(place.login, client=client)
        async with running(vendor, known("github_copilot"), Logins(lambda: LATE), login) as house:
            await until(lambda: bool(house.said))
        assert vendor.requests == []
        (notice,) = house.said
        assert "its token_url does not end in /copilot_internal/v2/token" in notice.text


async def test_a_refresh_token_that_is_not_exchanged_is_not_sent(tmp_path: Path) -> None:
    async with Vendor() as vendor:
        place = Place(tmp_path, CLAUDE, vendor)
        place.write(claude_file())
        check = known("github_copilot")
        async with running(vendor, check, Logins(lambda: LATE), place.login) as house:
            assert [*house.checker._leases()] == []


@pytest.mark.parametrize(
    ("name", "kind", "text", "answer"),
    [
        (
            "code_assist",
            GEMINI,
            gemini_file(at=EXPIRES + 9999),
            b'{"buckets": [{"modelId": "m", "remainingFraction": 0}]}',
        ),
        (
            "antigravity",
            ANTIGRAVITY,
            antigravity_file(at=EXPIRES + 9999),
            b'{"models": {"m": {"quotaInfo": {"remainingFraction": null}}}}',
        ),
    ],
)
@pytest.mark.parametrize(
    ("named", "body"),
    [(b'{"cloudaicompanionProject": "mine"}', {"project": "mine"}), (b"{}", {})],
)
async def test_quotas_of_google_s_are_asked_for_with_the_project_of_the_login(
    tmp_path: Path, name: str, kind: OAuthKind, text: str, answer: bytes, named: bytes, body: dict[str, str]
) -> None:
    check = known(name)
    async with Vendor() as vendor:
        vendor.on(path="/v1internal:loadCodeAssist").reply(whole(named), 100)
        vendor.on(path=check.path).reply(whole(answer), 100)
        place = Place(tmp_path, kind, vendor)
        place.write(text)
        async with running(vendor, check, Logins(lambda: LATE), place.login) as house:
            await asked(vendor, 4)
        quota = [one for one in vendor.requests if one.path == check.path]
        assert [(one.method, one.json()) for one in quota[:2]] == [("POST", body)] * 2
        assert {one.credential for one in vendor.requests} == {"ya29.old"}
        assert len(vendor.requests) - len(quota) == 1, "the project is asked for once"
        assert house.learnt == {"a": [("quota", "model:m")]}
        assert house.said == []


async def test_a_fault_of_ours_is_reported_and_new_settings_begin_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("planted")

    async with Vendor() as vendor:
        vendor.reply(whole(SPENT), 1000)
        with monkeypatch.context() as patched:
            patched.setattr(Pool, "checked", broken)
            async with running(vendor, QuotaCheck("/api/v1/key", LIMITS)) as house:
                await until(lambda: bool(house.faults))
                assert house.faults == ["asking what keys have used: planted"]
                patched.undo()
                upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
                house.checker.configure(house.settings, upstream)
                await until(lambda: bool(house.learnt))
                await upstream.close()
        assert len(house.faults) == 1


async def test_new_settings_without_it_end_it() -> None:
    async with Vendor() as vendor:
        vendor.reply(whole(SPENT), 1000)
        async with running(vendor, QuotaCheck("/api/v1/key", LIMITS)) as house:
            await asked(vendor, 1)
            upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
            house.checker.configure(Settings(), upstream)
            assert house.checker._task is None
