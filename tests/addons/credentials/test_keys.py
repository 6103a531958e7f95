"""The keys of a pool's credentials, texts and logins, across new settings."""

from pathlib import Path

from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.keys import Keys
from addons.credentials.lease import Lease
from addons.oauth.logins import Logins
from addons.secrets.logins import Login
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient
from tests.rewrite.oauth.logins import CLAUDE, CODEX, EXPIRES, claude_file, codex_file, jwt

TEXT, LOGIN = ("p", "text"), ("p", "login")
PROVIDER = Provider("p", "https://p", ("p",), ("anthropic_messages",))


def settings(key: str, file: Path, kind: OAuthKind = CLAUDE) -> Settings:
    login = Login(kind, file, TokenClient("https://a.test"))
    pool = (
        PoolCredential(Credential("text", "p"), SecretStr(key)),
        PoolCredential(Credential("login", "p"), SecretStr(""), login),
    )
    return Settings(providers=(Configured(PROVIDER, pool),))


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "login.json"
    file.write_text(text)
    file.chmod(0o600)
    return file


def leased(keys: Keys, name: str) -> Lease:
    lease = keys.lease(("p", name))
    assert lease is not None
    return lease


def test_a_login_is_the_same_with_another_token_and_a_text_is_not(tmp_path: Path) -> None:
    keys = Keys(Logins(lambda: EXPIRES - 1000.0))
    file = written(tmp_path, claude_file("first"))
    assert keys.configure(settings("k1", file), lambda _: 0) == frozenset()
    text, login = leased(keys, "text"), leased(keys, "login")
    written(tmp_path, claude_file("second-token"))
    assert keys.configure(settings("k2", file), lambda _: 0) == {LOGIN}
    assert leased(keys, "login").secret == SecretStr("second-token")
    assert (keys.is_current(TEXT, text), keys.is_current(LOGIN, login)) == (False, True)
    assert {one.get_secret_value() for one in keys.secrets()} >= {"k2", "second-token"}


def test_calls_with_what_was_taken_out_count_where_it_comes_back(tmp_path: Path) -> None:
    keys = Keys(Logins(lambda: EXPIRES - 1000.0))
    file = written(tmp_path, claude_file("first"))
    keys.configure(settings("k1", file), lambda _: 0)
    text, login = leased(keys, "text"), leased(keys, "login")
    keys.configure(Settings(), lambda _: 3)
    keys.over(TEXT, text)
    keys.over(LOGIN, login)
    keys.configure(settings("k1", file), lambda _: 0)
    assert [keys.back(who) for who in (TEXT, LOGIN)] == [2, 2]


def test_what_passes_through_on_a_login_names_its_account(tmp_path: Path) -> None:
    keys = Keys(Logins(lambda: EXPIRES - 1000.0))
    file = written(tmp_path, codex_file())
    keys.configure(settings("k1", file, CODEX), lambda _: 0)
    lease = leased(keys, "login")
    assert (lease.secret.get_secret_value(), lease.account) == (jwt(EXPIRES), "account-1")


def test_without_a_token_there_is_nothing_to_lease(tmp_path: Path) -> None:
    keys = Keys(Logins(lambda: EXPIRES - 1000.0))
    keys.configure(settings("k1", tmp_path / "missing.json"), lambda _: 0)
    assert [keys.lease(LOGIN), keys.lease(("p", "another"))] == [None, None]
