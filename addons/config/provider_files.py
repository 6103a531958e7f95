"""The built-in facts of providers, as mappings."""

import tomllib
from importlib.resources import files

from rewrite.catalog.provider_tables import layered


def built_in() -> dict[str, dict[str, object]]:
    """The facts of the built-in providers by name, those that hold for any provider included."""
    common = common_facts()
    folder = files("rewrite.catalog").joinpath("provider_data")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {
        name.removesuffix(".toml"): layered(common, tomllib.loads(data("provider_data", name)))
        for name in names
        if not name.startswith("_")
    }


def common_facts() -> dict[str, object]:
    """What holds for any provider, custom ones too."""
    return tomllib.loads(data("provider_data", "_common.toml"))


def data(*path: str) -> str:
    """The text of a file of the catalog."""
    return files("rewrite.catalog").joinpath(*path).read_text(encoding="utf-8")
