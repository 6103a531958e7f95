"""Logins in the config: what they come to, and what is said where something about one is wrong."""

import threading
from pathlib import Path

import pytest

from addons.config.settings import ConfigError, Settings, load, watched
from addons.secrets.keys import LITERAL_KEY
from rewrite.oauth.refreshing import TokenClient
from tests.rewrite.oauth.logins import (
    CLAUDE,
    CODEX,
    GEMINI,
    GENERIC,
    claude_file,
    codex_file,
    gemini_file,
    generic_file,
)


@pytest.fixture
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in (
        ("claude", claude_file()),
        ("codex", codex_file()),
        ("gemini", gemini_file()),
        ("generic", generic_file()),
        ("empty", "{}"),
        ("half", codex_file()[:40]),
    ):
        (tmp_path / f"{name}.json").write_text(text)
        (tmp_path / f"{name}.json").chmod(0o600)
    return tmp_path


def loaded(cwd: Path, table: str, **environ: str) -> Settings:
    (cwd / "rotator.toml").write_text(f"[providers.anthropic]\ncredentials = [{{ name = 'a', {table} }}]")
    (cwd / "rotator.toml").chmod(0o600)
    return load("", environ, cwd)


def faults(cwd: Path, table: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loaded(cwd, table, **environ)
    return [line.rpartition("credentials[0].")[2] for line in raised.value.lines]


def test_a_login_has_the_token_of_its_file(cwd: Path) -> None:
    settings = loaded(cwd, "oauth = 'claude', file = '~/claude.json', priority = 3")
    found = next(one for one in settings.providers if one.provider.name == "anthropic").credentials[0]
    assert found.secret.get_secret_value() == "sk-ant-oat01-old"
    assert (found.credential.name, found.credential.priority) == ("a", 3)
    assert found.credential.clients == ("claude",)
    assert found.login is not None
    assert (found.login.kind, found.login.file) == (CLAUDE, cwd / "claude.json")
    assert found.login.client == TokenClient(CLAUDE.token_url, CLAUDE.client_id)
    assert cwd / "claude.json" not in watched(settings), "a refresh is no reason to read the config again"


@pytest.mark.parametrize(
    ("table", "client"),
    [
        ("oauth = 'codex', file = 'codex.json'", TokenClient(CODEX.token_url, CODEX.client_id)),
        (
            "oauth = 'gemini', file = 'gemini.json'",
            TokenClient(GEMINI.token_url, GEMINI.client_id),
        ),
        (
            "oauth = 'gemini', file = 'gemini.json', client_secret = 'env:SECRET'",
            TokenClient(GEMINI.token_url, GEMINI.client_id, "of-the-client"),
        ),
        (
            "oauth = 'gemini', file = 'gemini.json', client_id = 'mine'",
            TokenClient(GEMINI.token_url, "mine"),
        ),
        (
            (
                "oauth = 'generic', file = 'generic.json', token_url = 'https://id.example.com/token',"
                " client_id = 'c', client_secret = 'env:SECRET'"
            ),
            TokenClient("https://id.example.com/token", "c", "of-the-client"),
        ),
        (
            "oauth = 'claude', file = 'claude.json', token_url = 'http://127.0.0.1:8000/token'",
            TokenClient("http://127.0.0.1:8000/token", CLAUDE.client_id),
        ),
    ],
)
def test_who_refreshes_a_login(cwd: Path, table: str, client: TokenClient) -> None:
    settings = loaded(cwd, table, SECRET="of-the-client")
    login = next(one for one in settings.providers if one.provider.name == "anthropic").credentials[0].login
    assert login is not None
    assert login.client == client


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", True),
        ("client_secret = 'env:SECRET'", False),
        ("client_id = 'mine'", False),
        ("token_url = 'http://127.0.0.1:8000/token'", False),
    ],
)
def test_a_login_that_its_tool_alone_can_refresh_is_reported(cwd: Path, more: str, warned: bool) -> None:
    table = ", ".join(("oauth = 'gemini', file = 'gemini.json'", *filter(None, [more])))
    found = [line for line in loaded(cwd, table, SECRET="of-the-client").warnings if "client_secret" in line]
    assert len(found) == warned
    assert all("providers.anthropic.credentials: a: only its tool" in line for line in found)


def test_a_generic_login_is_for_any_program(cwd: Path) -> None:
    table = "oauth = 'generic', file = 'generic.json', token_url = 'https://a.test', client_id = 'c'"
    anthropic = next(one for one in loaded(cwd, table).providers if one.provider.name == "anthropic")
    assert anthropic.serves("unknown")
    claude = loaded(cwd, "oauth = 'claude', file = 'claude.json'").providers
    assert not next(one for one in claude if one.provider.name == "anthropic").serves("unknown")
    assert next(one for one in claude if one.provider.name == "anthropic").serves("claude")
    open_to_all = loaded(cwd, "oauth = 'claude', file = 'claude.json', any_client = true").providers
    assert next(one for one in open_to_all if one.provider.name == "anthropic").serves("unknown")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("oauth = 'cluade', file = 'x'", "oauth: no such kind of login: did you mean claude?"),
        ("oauth = true, file = 'x'", "oauth: must be a text in quotes"),
        (
            "oauth = 'x', file = 'x'",
            "oauth: no such kind of login: known are claude, codex, gemini, antigravity, copilot, generic",
        ),
        (
            "oauth = 'claude'",
            "file: is missing: name the file of the login: claude keeps it in ~/.claude/.credentials.json",
        ),
        (
            "oauth = 'codex', file = 'gone.json'",
            "file: the file cannot be read (No such file or directory): run codex login, or correct its path",
        ),
        ("oauth = 'codex', file = 'empty.json'", "file: the file holds no login: run codex login"),
        (
            "oauth = 'codex', file = 'half.json'",
            "file: the file is no JSON object: run codex login, or correct its path",
        ),
        (
            "oauth = 'claude', file = 'claude.json', key = 'env:A'",
            "key: stands beside oauth: a credential is one of the two",
        ),
        (
            "oauth = 'generic', file = 'generic.json', client_id = 'a'",
            "token_url: is missing: a generic login has none of its own",
        ),
        (
            "oauth = 'generic', file = 'generic.json', token_url = 'https://a.test'",
            "client_id: is missing: a generic login has none of its own",
        ),
        (
            "oauth = 'claude', file = 'claude.json', token_url = 'ftp://a'",
            (
                "token_url: must be an address such as https://auth.example.com/oauth/token, "
                "without user, query and fragment"
            ),
        ),
        (
            "oauth = 'claude', file = 'claude.json', token_url = 'http://auth.example.com'",
            "token_url: plain http is for this machine alone: write https://",
        ),
        (
            "oauth = 'claude', file = 'claude.json', client_secret = 'hush'",
            f"client_secret: {LITERAL_KEY}",
        ),
        (
            "key = 'env:A', file = 'claude.json'",
            'file: belongs to a login: add oauth = "claude", or take it out',
        ),
        ("key = 'env:A', any_client = 1", "any_client: must be true or false"),
    ],
)
def test_what_is_wrong_with_a_login(cwd: Path, table: str, said: str) -> None:
    assert faults(cwd, table, A="a-key-of-16-characters") == [said]


def test_two_credentials_of_a_pool_are_no_one_login(cwd: Path) -> None:
    (cwd / "link.json").symlink_to(cwd / "claude.json")
    with pytest.raises(ConfigError) as raised:
        loaded(
            cwd,
            "oauth = 'claude', file = 'claude.json' }, { name = 'b', oauth = 'claude', file = 'link.json'",
        )
    (line,) = raised.value.lines
    assert line.endswith("credentials[1].file: is the login of a already: give each credential its own")


def test_no_message_shows_a_token(cwd: Path) -> None:
    (cwd / "claude.json").chmod(0o666)
    said = faults(cwd, "oauth = 'claude', file = 'claude.json'")
    why = "the file can be written by other users (mode 666): chmod go-w it"
    assert said == [f"file: {why}: run claude and type /login, or correct its path"]


def test_each_kind_is_read_from_its_own_file(cwd: Path) -> None:
    for kind in (CLAUDE, CODEX, GEMINI, GENERIC):
        more = ", token_url = 'https://a.test', client_id = 'c'" if kind is GENERIC else ""
        settings = loaded(cwd, f"oauth = '{kind.name}', file = '{kind.name}.json'{more}")
        anthropic = next(one for one in settings.providers if one.provider.name == "anthropic")
        assert anthropic.credentials[0].secret.get_secret_value()


def test_a_file_that_a_tool_is_writing_is_read_again(cwd: Path) -> None:
    writer = threading.Timer(0.1, (cwd / "half.json").write_text, (codex_file(),))
    writer.start()
    settings = loaded(cwd, "oauth = 'codex', file = 'half.json'")
    writer.join()
    anthropic = next(one for one in settings.providers if one.provider.name == "anthropic")
    assert anthropic.credentials[0].secret.get_secret_value()
