"""How much each user may use, as the config says."""

from pathlib import Path

import pytest

from addons.config.settings import ConfigError, Settings, load
from rewrite.policies.user_caps import Caps


def read(folder: Path, text: str, **environ: str) -> Settings:
    file = folder / "rotator.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load(str(file), environ, folder)


def test_users_have_caps(tmp_path: Path) -> None:
    text = '[users.alice]\nrequests = 5\n[users."Bob B"]\ntokens = 2e6\ncost = 1.5\n[users.eve]\n'
    assert read(tmp_path, text).users == {
        "alice": Caps(requests=5),
        "bob b": Caps(tokens=2e6, cost=1.5),
        "eve": Caps(),
    }


def test_a_variable_sets_one(tmp_path: Path) -> None:
    settings = read(tmp_path, "[users.alice]\nrequests = 5\n", ROTATOR__USERS__ALICE__REQUESTS="7")
    assert settings.users == {"alice": Caps(requests=7)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[users.alice]\nrequests = 0\n", "users.alice.requests: must be at least 1"),
        ("[users.alice]\nrequests = 1.5\n", "users.alice.requests: must be a whole number"),
        ("[users.alice]\ntokens = inf\n", "users.alice.tokens: must be a finite number"),
        ("[users.alice]\ncost = 0\n", "users.alice.cost: must be above 0"),
        ("[users.alice]\nrequest = 5\n", "users.alice.request: unknown name: did you mean requests?"),
        ("[users]\nalice = 5\n", "users.alice: must be a table, such as { requests = 500 }"),
        ('[users."a:b"]\n', "must be the name of a user, as it stands in the URL of the proxy"),
        ('[users.""]\n', "must be the name of a user"),
        ("[users.alice]\n[users.Alice]\n", "users.Alice: is the same user as another one"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    (line,) = raised.value.lines
    assert said in line
