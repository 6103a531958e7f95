"""Which server a config names for state that is shared, and what of it is refused."""

import tomllib
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.config import shared_state
from addons.config.settings import ConfigError, Settings, load, watched
from addons.config.shared_state import Address, SharedState

PASSWORD = "a-password-of-the-store"
ROOT = Path(__file__).parents[3]


def loaded(folder: Path, state: str, **environ: str) -> Settings:
    file = folder / "rotator.toml"
    file.write_text(f"[state]\n{state}\n")
    file.chmod(0o600)
    return load(str(file), environ, folder)


def refused(folder: Path, state: str, **environ: str) -> str:
    """The one line of an error, from the key on."""
    with pytest.raises(ConfigError) as error:
        loaded(folder, state, **environ)
    (line,) = error.value.lines
    return line.partition("rotator.toml: ")[2]


@pytest.mark.parametrize(
    ("state", "wanted", "name"),
    [
        ('url = "redis://cache"', SharedState(Address("cache")), "cache:6379/0"),
        ('url = "redis://cache:7000/"', SharedState(Address("cache", 7000)), "cache:7000/0"),
        ('url = "redis://10.0.0.1/3"', SharedState(Address("10.0.0.1"), 3), "10.0.0.1:6379/3"),
        ('url = "redis://[::1]:7000"\ndatabase = 2', SharedState(Address("::1", 7000), 2), "[::1]:7000/2"),
        ('url = "rediss://cache"', SharedState(Address("cache", is_secure=True)), "cache:6379/0"),
        ('url = "unix:///run/r.sock"', SharedState(Address(path="/run/r.sock")), "/run/r.sock/0"),
        (
            'url = "redis://cache"\nuser = "team"\nprefix = "team:"',
            SharedState(Address("cache"), user="team", prefix="team:"),
            "cache:6379/0",
        ),
    ],
)
def test_a_server(tmp_path: Path, state: str, wanted: SharedState, name: str) -> None:
    found = loaded(tmp_path, state).shared
    assert found == wanted
    assert str(found) == name


def test_none(tmp_path: Path) -> None:
    assert load("", {}, tmp_path).shared is None


def test_its_secrets_are_read_where_keys_are(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "secret").chmod(0o600)
    lines = 'url = "redis://cache"\noauth_tokens = "shared"\npassword = "file:secret"\nkey = "env:KEY"'
    settings = loaded(tmp_path, lines, KEY="another-one-for-tokens-of-the-logins")
    assert settings.shared is not None
    assert settings.shared.secrets == (SecretStr(PASSWORD), SecretStr("another-one-for-tokens-of-the-logins"))
    assert settings.shared.oauth_tokens
    assert PASSWORD not in repr(settings)
    assert tmp_path / "secret" in watched(settings)


def test_the_environment_names_one(tmp_path: Path) -> None:
    assert load("", {"ROTATOR__STATE__URL": "redis://cache"}, tmp_path).shared == SharedState(
        Address("cache")
    )


FORM = "must be redis://HOST:6379, rediss://HOST:6379 (TLS) or unix:///path/of/the.sock"
SEVERAL = f"Sentinel and Cluster are not supported: name one server: {FORM}"


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (f'url = "redis://:{PASSWORD}@cache"', "has a password in it, which is refused: write password = "),
        ('url = "redis://team@cache"', "has a user in it: write user = ... beside the url"),
        ('url = "http://cache"', FORM),
        ('url = "cache:6379"', FORM),
        ('url = "redis://cache:0"', FORM),
        ('url = "redis://cache:99999"', FORM),
        ('url = "unix://run/r.sock"', FORM),
        ('url = "redis://one:1,two:2"', SEVERAL),
        ('url = "redis+sentinel://cache/mymaster"', SEVERAL),
        ('url = "redis+cluster://cache"', SEVERAL),
        (
            'url = "redis://cache?sentinel=mymaster"',
            "takes no options (? or #), Sentinel and Cluster are not ",
        ),
        ('url = "redis://cache/mymaster/0"', "has more after the host than the number of a database"),
    ],
)
def test_a_url_that_is_refused(tmp_path: Path, state: str, line: str) -> None:
    said = refused(tmp_path, state)
    assert said.startswith(f"state.url: {line}")
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            f'password = "{PASSWORD}"',
            "state.password: a literal secret in the file is refused: write env:NAME",
        ),
        ('key = "env:LONG"', "state.key: does nothing while no tokens are kept: write oauth_tokens = "),
        ('password = "env:STORE"', "state.password: environment variable STORE is not set"),
        ('prefix = "a b"', "state.prefix: must be 1 to 64 letters, digits and - . _ :"),
        (
            'oauth_tokens = "shared"',
            'state.key: is missing: oauth_tokens = "shared" needs one to encrypt them',
        ),
        (
            'oauth_tokens = "shared"\nkey = "env:SHORT"',
            "state.key: has less than 32 characters: `openssl rand -base64 32` prints one",
        ),
        ('oauth_tokens = "yes"', 'state.oauth_tokens: must be "off" or "shared"'),
        ("sentinels = []", "state.sentinels: unknown name"),
        ("database = -1", "state.database: must be at least 0"),
    ],
)
def test_what_else_is_refused(tmp_path: Path, more: str, line: str) -> None:
    said = refused(
        tmp_path, f'url = "redis://cache"\n{more}', SHORT="a-key-of-a-few-characters", LONG="k" * 32
    )
    assert said.startswith(line)
    assert PASSWORD not in said


def test_two_databases(tmp_path: Path) -> None:
    said = refused(tmp_path, 'url = "redis://cache/1"\ndatabase = 2')
    assert said == "state.database: is another than the one in url: leave one of them out"


def test_a_table_without_a_server(tmp_path: Path) -> None:
    said = refused(tmp_path, 'prefix = "team:"')
    assert said.startswith("state.url: is missing, so that prefix does nothing: write url = ")


def test_the_package_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_state, "_PACKAGE", "a-package-that-nobody-has")
    assert "state.url: needs the package redis from 6.4 on: pip" in refused(tmp_path, 'url = "redis://cache"')


def test_the_package_from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (installed := tmp_path / "site" / "redis-5.0.8.dist-info").mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: redis\nVersion: 5.0.8\n")
    monkeypatch.syspath_prepend(str(installed.parent))
    assert "state.url: needs the package redis from 6.4 on: pip" in refused(tmp_path, 'url = "redis://cache"')


def test_the_package_is_held_to_what_was_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = project["optional-dependencies"]["state"]
    assert wanted.startswith(f"redis>={'.'.join(map(str, shared_state.LEAST))},")


def test_responses_that_are_shared_need_a_server(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'url = "redis://cache"\n[responses]\nshared = true').shares_responses
    said = refused(tmp_path, "[responses]\nshared = true")
    assert said.startswith('responses.shared: needs a store: write url = "redis://HOST:6379" into [state]')
