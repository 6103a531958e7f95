"""docs/providers.md has every key that the config and the files of providers know, with type and default."""

import json
import re
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from addons.config.provider_files import common_facts
from addons.config.settings import load
from addons.config.tables import ErrorsTable, ModelTable, ProviderTable, TimeoutsTable
from rewrite.catalog.checks import CheckedLimit, QuotaCheck
from rewrite.catalog.layers import layered
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.provider_tables import provider
from rewrite.catalog.providers import FairCycle
from rewrite.values.outcome import ErrorFacts, Kind

TEXT = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
UNSAID = provider("x", layered(common_facts(), {"base_url": "https://x", "hosts": [], "protocols": []}))
IN_WORDS = {"needed", "none", "those of the protocols", "those of any provider"}
OF_THE_CONFIG = {"credentials": "[]", "check": "false"}
ANYTHING = "true, false or text"
NAMES = {"string": "text", "boolean": "true or false", "integer": "whole number", "object": "table"}


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> dict[str, list[str]]:
    """The cells of each row of the table in a section, by the key that it begins with."""
    lines = re.findall(r"^\| `(\w+)` \| (.*) \|$", section(title), re.MULTILINE)
    return {key: cells.split(" | ") for key, cells in lines}


def type_of(schema: dict[str, Any], known: dict[str, Any]) -> str:
    """A pydantic field's type in the words of the document."""
    if "$ref" in schema:
        return type_of(known[schema["$ref"].rpartition("/")[2]], known)
    forms = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(forms) == 1:
        return type_of(forms[0], known)
    if forms:
        return ""
    if schema.get("type") == "array":
        items = type_of(schema["items"], known)
        return f"list of {items}s" if items else "list"
    return NAMES.get(schema.get("type", ""), ANYTHING)


@pytest.mark.parametrize(
    ("title", "table"),
    [("Keys of a provider", ProviderTable), ("Keys of `[[providers.NAME.models]]`", ModelTable)],
)
def test_every_key_is_there_with_its_type(title: str, table: type[ProviderTable] | type[ModelTable]) -> None:
    schema = table.model_json_schema()
    types = {key: type_of(each, schema.get("$defs", {})) for key, each in schema["properties"].items()}
    assert {key: cells[0].removesuffix(", needed") for key, cells in rows(title).items()} == types


def test_the_defaults_are_those_of_the_code() -> None:
    for key, (_, default, *_) in rows("Keys of a provider").items():
        if key in OF_THE_CONFIG:
            assert default == f"`{OF_THE_CONFIG[key]}`"
        elif default not in IN_WORDS:
            assert json.loads(default.strip("`")) == _plain(getattr(UNSAID, key)), key


def _plain(value: object) -> object:
    """As a config writes it; what errors blame at any provider is not said of one."""
    match value:
        case tuple():
            return list(value)
        case ErrorFacts():
            return {}
        case FairCycle.OFF:
            return False
        case _:
            return value


def test_what_belongs_to_a_key_is_there_too() -> None:
    timeouts = rows("Keys of `[[providers.NAME.models]]`")["timeouts"][-1]
    assert TimeoutsTable.model_fields.keys() == set(re.findall(r"`(\w+)`", timeouts.partition(". ")[0]))
    assert rows("Errors").keys() == ErrorsTable.model_fields.keys()
    assert set(re.findall(r"`(\w+)`", section("Errors").rpartition("\n\n")[2])) == set(Kind)
    checks = set(re.findall(r"`(\w+)", section("Quota checks")))
    assert {each.name for kind in (QuotaCheck, CheckedLimit) for each in fields(kind)} <= checks


def test_the_example_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text(re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0])
    settings = load("", {"ACME_KEY": "sk-a-key-of-the-pool-0123"}, tmp_path)
    acme = settings.providers[0].provider
    facts = facts_of(acme, "acme-think-1")
    assert (acme.name, facts.default_output, facts.reasoning) == ("acme", 8000, True)
    assert [each.param for each in facts.refuses or ()] == ["temperature", "top_p"]


def test_the_example_of_a_folder_has_its_keys_from_variables_or_from_the_config(tmp_path: Path) -> None:
    folder, config = tmp_path / "providers", tmp_path / "rotator.toml"
    folder.mkdir(mode=0o700)
    text = section("To add one").split("# FOLDER/acme.toml\n")[1].split("```")[0]
    (folder / "acme.toml").write_text(textwrap.dedent(text))
    (folder / "acme.toml").chmod(0o600)
    keys = {"ACME_KEY_1": "sk-acme-1", "ACME_KEY_2": "sk-acme-2"}
    for said in ("", '[providers.acme]\ncredentials = [{ name = "mine", key = "env:ACME_KEY_1" }]\n'):
        config.write_text(said)
        settings = load(str(config), keys, tmp_path, str(folder))
        (acme,) = [one for one in settings.providers if one.provider.name == "acme"]
        names = [each.name for each in acme.credentials]
        assert names == (["mine"] if said else ["ACME_KEY_1", "ACME_KEY_2"])
