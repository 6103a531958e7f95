"""`rotator init`: what it finds, what it writes, and that no key is in either."""

import json
import os
import stat
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from addons.config.settings import Settings, load
from rotator.init import app
from rotator.paths import command
from tests.rotator.homes import keys_of

KEYS = {
    "OPENAI_API_KEY_1": "sk-first-of-the-numbered",
    "OPENAI_API_KEY_2": "sk-second-of-the-numbered",
    "OPENAI_API_KEY": "sk-the-plain-one-of-them",
    "OPENAI_API_KEYS": "sk-listed-one-of-two, sk-listed-two-of-two;sk-first-of-the-numbered",
    "ANTHROPIC_API_KEY": "sk-ant-the-plain-one",
    "MISTRAL_API_KEY_A": "a-lettered-key-of-mistral",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where nothing is, in an environment without keys."""
    for name in list(os.environ):
        if "API_KEY" in name or name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def init(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, arguments, env=environ)


def written(home: Path) -> Path:
    return home / ".config" / "rotator" / "rotator.toml"


def loaded(home: Path, **environ: str) -> Settings:
    return load(str(written(home)), {**os.environ, **environ}, Path.cwd())


def test_the_keys_of_the_environment_become_pools(home: Path) -> None:
    done = init(**KEYS)
    assert done.exit_code == 0, done.output
    settings = loaded(home, **KEYS)
    assert settings.warnings == ()
    assert keys_of(settings) == {
        "openai": [
            "sk-first-of-the-numbered",
            "sk-second-of-the-numbered",
            "sk-the-plain-one-of-them",
            "sk-listed-one-of-two",
            "sk-listed-two-of-two",
        ],
        "anthropic": ["sk-ant-the-plain-one"],
        "mistral": ["a-lettered-key-of-mistral"],
    }
    assert stat.S_IMODE(written(home).stat().st_mode) == 0o600


def test_no_key_is_written_or_printed(home: Path) -> None:
    done = init(**KEYS)
    shown = done.output + written(home).read_text()
    assert not any(key in shown for value in KEYS.values() for key in value.replace(";", ", ").split(", "))


def test_what_was_found_and_what_to_type_next(home: Path) -> None:
    lines = init(**KEYS).output
    for name in KEYS:
        assert name in lines
    assert f"Wrote {written(home)}" in lines
    assert f"  {command()} check --live: " in lines
    assert f"  {command()} run -- claude: " in lines


def test_a_file_that_is_there_stays(home: Path) -> None:
    written(home).parent.mkdir(parents=True)
    written(home).write_text("[retry]\n")
    done = init(**KEYS)
    assert (done.exit_code, written(home).read_text()) == (1, "[retry]\n")
    assert "--force" in done.output
    assert init("--force", **KEYS).exit_code == 0
    assert loaded(home, **KEYS).warnings == ()
    assert [path.name for path in written(home).parent.iterdir()] == ["rotator.toml"]


def test_without_any_key_the_file_shows_how_one_is_named(home: Path) -> None:
    done = init("rotator.toml")
    assert done.exit_code == 0
    assert "Found no key" in done.output
    settings = load("", os.environ, Path.cwd())
    assert settings.source == Path.cwd() / "rotator.toml"
    assert keys_of(settings) == {}
    uncommented = (home / "here" / "rotator.toml").read_text().replace("# [", "[").replace("# ", "")
    assert '{ name = "work", key = "env:WORK_KEY" }' in uncommented


def test_a_key_that_cannot_be_used_is_left_out(home: Path) -> None:
    done = init(GEMINI_API_KEY="two words", GROQ_API_KEY="a-good-key-of-groq")
    assert keys_of(loaded(home, GROQ_API_KEY="a-good-key-of-groq")) == {"groq": ["a-good-key-of-groq"]}
    assert "GEMINI_API_KEY" in done.output
    assert "white space" in done.output
    assert "two words" not in done.output + written(home).read_text()


def test_logins_of_tools_become_credentials(home: Path) -> None:
    tokens = {
        "accessToken": "at-secret-of-claude",
        "refreshToken": "rt-secret",
        "expiresAt": 9e12,
        "scopes": [],
    }
    claude = home / ".claude" / ".credentials.json"
    claude.parent.mkdir()
    claude.write_text(json.dumps({"claudeAiOauth": tokens}))
    google = home / ".gemini" / "oauth_creds.json"
    google.parent.mkdir()
    until = (time.time() + 3600) * 1000
    google.write_text(json.dumps({"access_token": "at-google", "refresh_token": "rt", "expiry_date": until}))
    done = init()
    assert done.exit_code == 0, done.output
    settings = loaded(home)
    assert settings.warnings == ()
    assert keys_of(settings) == {"anthropic": ["at-secret-of-claude"]}
    text = written(home).read_text()
    assert "secret-of-claude" not in text + done.output
    assert 'oauth = "claude"' in text
    assert '#   { name = "gemini", oauth = "gemini"' in text
    assert "client_secret" in done.output


def test_a_moved_folder_of_a_tool_is_found(home: Path) -> None:
    folder = home / "elsewhere"
    folder.mkdir()
    (folder / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": None, "tokens": {}}))
    done = init(CODEX_HOME=str(folder))
    assert str(folder / "auth.json") in done.output
    assert loaded(home).warnings == ()


def test_a_folder_that_cannot_be_written_is_one_line(home: Path) -> None:
    (home / "file").write_text("")
    done = init(str(home / "file" / "rotator.toml"))
    assert done.exit_code == 1
    assert "cannot be written" in done.output
    assert done.output.count("\n") == 1
