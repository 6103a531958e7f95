"""docs/configuration.md says what the code reads."""

from pathlib import Path

from addons.config import tables
from scripts.configuration_doc import SECTIONS, described, document

ROOT = Path(__file__).parent.parent
OF_PROVIDERS = {
    tables.Tables,
    tables.ProviderTable,
    tables.ModelTable,
    tables.ErrorsTable,
    tables.TimeoutsTable,
}
"""The keys of these are in docs/providers.md, or those of another table."""


def test_the_file_is_what_the_code_writes() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == document(), "run: python -m scripts.configuration_doc > docs/configuration.md"


def test_no_table_of_the_config_is_left_out() -> None:
    assert set(tables._SECTIONS.values()) - OF_PROVIDERS == set(SECTIONS.values())


def test_every_key_says_what_it_is() -> None:
    missing = {
        f"{title}.{key}"
        for title, table in SECTIONS.items()
        for key in table.model_fields.keys() - described(table).keys()
    }
    assert missing == set()
