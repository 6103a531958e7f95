"""Config files as trees of tables: read where nobody else can have written them, TOML or JSON."""

import json
import tomllib
from pathlib import Path

from addons.config.errors import masked
from addons.config.tables import Tree
from addons.secrets.owned_file import NotOurs, read_own

_LARGEST_FILE = 1 << 20
"""Bytes of a config file."""


class Unreadable(Exception):
    """A file that gives no tree: what is wrong with it, and what to do."""


def read_tree(file: Path) -> Tree:
    """The tree in `file`; JSON by its suffix, else TOML. Raises Unreadable."""
    try:
        text = read_own(file, _LARGEST_FILE).decode("utf-8-sig")
    except NotOurs as error:
        raise Unreadable(f"{error.reason}: {error.remedy} {file}") from None
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror}): create it or correct its path") from None
    except ValueError:
        raise Unreadable("is not UTF-8 text: save it as that") from None
    form = "JSON" if file.suffix.lower() == ".json" else "TOML"
    try:
        tree = json.loads(text) if form == "JSON" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is not valid {form}: {masked(str(error))}: correct it there") from None
    if not isinstance(tree, dict):
        raise Unreadable("must hold a table: begin it with {")
    return tree
