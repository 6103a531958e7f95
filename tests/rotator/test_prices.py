"""`rotator prices`: what a model costs and where that comes from, and a newer list."""

from pathlib import Path

import pytest

import rewrite.usage
from tests.rotator.command import rotator

SHIPPED = Path(rewrite.usage.__file__).parent / "data" / "prices.json"
MODEL = '{"id": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": {"input_mtok": 77, "output_mtok": 99}}'
NEWER = f'[{{"id": "openai", "api_pattern": "https://api.openai.com", "models": [{MODEL}]}}]'


def said(home: Path, *arguments: str) -> str:
    done = rotator(home, "prices", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def row(text: str, provider: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(f"{provider} "))


def test_each_provider_that_has_the_model_is_a_row(tmp_path: Path) -> None:
    text = said(tmp_path, "claude-opus-5")
    assert row(text, "anthropic") == [
        *("anthropic", "5", "0.5", "6.25", "10", "25", "10", "for", "a", "thousand", "searches"),
        *("list:", "anthropic/claude-opus-5"),
    ]
    assert row(text, "vertex")[-1] == "google/claude-opus-5"
    assert "US dollars for a million tokens" in text


def test_prices_of_ones_own_go_first(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text('[prices]\nfile = "own.toml"\n')
    (tmp_path / "own.toml").write_text('["openai/gpt-4*"]\ninput = 1\noutput = 2\n')
    assert row(said(tmp_path, "gpt-4o"), "openai")[:2] == ["openai", "1"]
    assert "your own: openai/gpt-4*" in said(tmp_path, "gpt-4o")
    assert f"your own: {tmp_path / 'own.toml'}: 1 table, which go before the list" in said(tmp_path)


def test_a_model_that_nobody_knows_says_what_to_do(tmp_path: Path) -> None:
    done = rotator(tmp_path, "prices", "no-such-model")
    assert done.returncode == 1
    assert done.stderr.startswith("no price is known of no-such-model: give it one of your own")


def test_a_newer_list_takes_the_place_of_the_one_that_came_with_rotator(tmp_path: Path) -> None:
    assert "as it came with rotator: " in said(tmp_path)
    (tmp_path / "data.json").write_text(NEWER)
    kept = tmp_path / ".local" / "state" / "rotator" / "prices.json"
    text = said(tmp_path, "--update", "data.json")
    assert text.startswith(f"list of genai-prices, kept in {kept}, of ")
    assert text.endswith(": 1 models of 1 providers\n")
    assert row(said(tmp_path, "gpt-4o"), "openai")[:2] == ["openai", "77"]
    assert kept.stat().st_mode & 0o777 == 0o600
    said(tmp_path, "--update", str(SHIPPED))
    assert row(said(tmp_path, "gpt-4o"), "openai")[:2] == ["openai", "2.5"]


@pytest.mark.parametrize(
    ("data", "text"),
    [(None, "cannot be read (No such file or directory)"), ("{}", "is no list of prices (Expected `array`")],
)
def test_what_is_no_list_is_not_taken(tmp_path: Path, data: str | None, text: str) -> None:
    if data is not None:
        (tmp_path / "data.json").write_text(data)
    done = rotator(tmp_path, "prices", "--update", "data.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"data.json: {text}")
    assert "take prices/new_data/v2/data.json of github.com/pydantic/genai-prices" in done.stderr
    assert not (tmp_path / ".local" / "state" / "rotator" / "prices.json").exists()


def test_a_broken_config_is_said_and_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text('[prices]\nfile = "gone.toml"\n')
    done = rotator(tmp_path, "prices", "gpt-4o")
    assert done.returncode == 1
    assert "gone.toml: cannot be read (No such file or directory)" in done.stderr
