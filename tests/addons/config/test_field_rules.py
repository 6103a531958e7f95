"""The rules of the field cache in a config: over those of a provider's file, and refused with their place."""

import re
from pathlib import Path
from typing import Any

import pytest

from addons.config.errors import ConfigErrors
from addons.config.field_rules import field_rules
from addons.config.settings import ConfigError, load
from rewrite.fields.rule import Into, Mode, Rule, Scope, Source
from rewrite.fields.rule_tables import rules
from tests.rewrite.fields.test_rule_tables import LEAST

ROOT = Path(__file__).parents[3]
CONFIG = """
[providers.acme]
base_url = "https://api.acme.example"
hosts = ["api.acme.example"]
protocols = ["openai_chat"]
[[providers.acme.field_cache]]
name = "reasoning"
source = "response"
path = "^.reasoning_content"
mode = "per_tool_call"
"""


def rules_of(folder: Path, text: str, name: str) -> tuple[Rule, ...]:
    (folder / "rotator.toml").write_text(text)
    settings = load("", {}, folder)
    return next(one.provider.field_cache for one in settings.providers if one.provider.name == name)


def test_a_rule_of_a_provider(tmp_path: Path) -> None:
    text = CONFIG + 'scope = ["session"]\n[providers.acme.field_cache.inject]\npath = "^.reasoning_content"\n'
    (found,) = rules_of(tmp_path, text, "acme")
    assert (found.name, found.source, found.mode) == ("reasoning", Source.RESPONSE, Mode.PER_TOOL_CALL)
    assert (found.scope, found.inject.into) == (frozenset({Scope.SESSION}), Into.REQUEST)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ("", "providers.acme.field_cache[0].inject: is missing"),
        ('inject = { path = "a", wen = 1 }', r"providers.acme.field_cache[0].inject.wen: unknown name: "),
        (
            'inject = { path = "^.a[" }',
            "inject.path: is not a path such as a.b[0].c: character 5 is its end, expected a number and ]",
        ),
        (
            'inject = { path = "^.a" }\nmatch = { protocol = "openai_responses" }',
            "field_cache[0].match.protocol: no protocol of that name is spoken there: write one of openai",
        ),
        ('inject = { path = "a.*" }', "providers.acme.field_cache[0].inject.path: must name one place"),
        ('sauce = "x"', "providers.acme.field_cache[0].sauce: unknown name: did you mean source?"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(tmp_path: Path, more: str, line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        rules_of(tmp_path, CONFIG + more, "acme")
    (found,) = raised.value.lines
    assert line in found


def test_a_list_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"begin each with \[\[providers.NAME.field_cache\]\]"):
        rules_of(tmp_path, '[providers.openai]\nfield_cache = "x"\n', "openai")


def read(known: list[dict[str, Any]], *own: dict[str, Any]) -> tuple[Rule, ...]:
    errors = ConfigErrors("rotator.toml", {})
    found = field_rules(known, own, ("field_cache",), errors)
    assert errors.lines() == ()
    return rules(found)  # type: ignore[arg-type]


def test_a_rule_of_the_same_name_says_what_is_different() -> None:
    other = {**LEAST, "name": "other"}
    off, kept = read([LEAST, other], {"name": "state", "match": {"model": ""}, "ttl": 5})
    assert (off.name, off.ttl, off.place) == ("state", 5.0, rules([LEAST])[0].place)
    assert not off.fits("openai_chat", "gpt")
    assert (kept,) == rules([other])


def test_two_rules_of_one_name_are_refused() -> None:
    errors = ConfigErrors("rotator.toml", {})
    field_rules([], [LEAST, LEAST], ("field_cache",), errors)
    assert errors.lines() == (
        "rotator.toml: field_cache[1].name: is the name of another rule: write another",
    )


def test_other_rules_come_after_the_built_in_ones() -> None:
    assert [each.name for each in read([LEAST], {**LEAST, "name": "mine"})] == ["state", "mine"]


def test_a_rule_without_a_name_is_refused() -> None:
    errors = ConfigErrors("rotator.toml", {})
    assert field_rules([LEAST], [{"name": 3}, {}], ("field_cache",), errors) == [LEAST]
    assert [line.partition(": ")[2] for line in errors.lines()] == [
        "field_cache[0].name: must be a text that is not empty",
        "field_cache[1].name: is missing",
    ]


def test_the_page_names_every_key() -> None:
    page = (ROOT / "docs" / "field_cache.md").read_text()
    names = re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE)
    for key in ("name", "match", "source", "path", "where", "mode", "scope", "ttl", "persist"):
        assert key in names
    for key in ("target", "path", "when_missing_only", "placeholders", "insert", "as_list"):
        assert f"inject.{key}" in names
    for kind in (Source, Mode, Scope, Into):
        assert all(f"`{each}`" in page for each in kind)


def test_the_pages_example_is_a_rule(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "field_cache.md").read_text()
    example = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    text = CONFIG.partition("[[")[0] + example
    (found,) = rules_of(tmp_path, text, "acme")
    assert found.mode is Mode.PER_TOOL_CALL
