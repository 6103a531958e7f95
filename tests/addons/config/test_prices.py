"""The user's own prices: the file that the config names."""

from pathlib import Path

import pytest

from addons.config.settings import ConfigError, Settings, load, watched
from rewrite.usage.costs import Rates

FREE = '["acme/*"]\ninput = 0\noutput = 0\n'


def loaded(folder: Path, prices: str | None) -> Settings:
    """Of a config beside a file with these prices; None: there is none."""
    (folder / "rotator.toml").write_text('[prices]\nfile = "own.toml"\n')
    if prices is not None:
        (folder / "own.toml").write_text(prices)
    return load("", {}, folder)


def test_prices_are_read_from_beside_the_config_and_watched(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FREE)
    assert [(one.match, one.rates) for one in settings.own_prices] == [
        ("acme/*", Rates.of({"input": 0.0, "output": 0.0}))
    ]
    assert tmp_path / "own.toml" in watched(settings)


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    settings = load("", {}, tmp_path)
    assert (settings.own_prices, settings.price_file) == ((), None)


@pytest.mark.parametrize(
    ("prices", "lines"),
    [
        (None, ["cannot be read (No such file or directory): create it or correct its path"]),
        ("input = 1", ['input: expected a table by provider and model, such as ["acme/*"]']),
        (
            '["acme/*"]\ninput = "1"\n',
            [
                '"acme/*".output: is missing: give US dollars for a million tokens, or 0',
                "\"acme/*\".input: expected US dollars for a million tokens, got '1'",
            ],
        ),
        ("[", ["is not valid TOML: "]),
    ],
)
def test_what_is_wrong_names_file_and_key(tmp_path: Path, prices: str | None, lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, prices)
    assert len(caught.value.lines) == len(lines)
    for line, text in zip(caught.value.lines, lines, strict=True):
        assert line.startswith(f"{tmp_path / 'own.toml'}: {text}")
