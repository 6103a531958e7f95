"""What is said of providers outside the config: the built-in facts, the files of a folder, and what installed
distributions bring."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from addons.config.errors import ConfigErrors, checked, masked
from addons.config.tables import ProviderTable
from addons.config.trees import Unreadable, read_tree
from addons.config.values import provider_name
from addons.secrets.keys import located
from addons.secrets.owned_file import NotOurs, check_folder
from rewrite.catalog.layers import layered

GROUP = "rotator.providers"
"""The entry points of distributions that bring a provider, each by its name."""

_REGISTERED = "names a file: register its class as an entry point of the group rotator.hooks, and name that"
_SUFFIX = ".toml"
_OF_THE_CONFIG = ("credentials", "check")


@dataclass(frozen=True, slots=True)
class Said:
    """What one place says of a provider."""

    name: str
    """The provider's."""
    table: ProviderTable
    errors: ConfigErrors
    """Where to report what is wrong with it."""


def built_in() -> dict[str, dict[str, object]]:
    """The facts of the built-in providers by name, those that hold for any provider included."""
    common = common_facts()
    return {name: layered(common, facts) for name, facts in own_facts().items()}


def own_facts() -> dict[str, dict[str, object]]:
    """What the file of each built-in provider says, by its name."""
    return {name: tomllib.loads(data("provider_data", name + _SUFFIX)) for name in _built_in_names()}


def _built_in_names() -> list[str]:
    folder = files("rewrite.catalog").joinpath("provider_data")
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
    return sorted(name.removesuffix(_SUFFIX) for name in names if not name.startswith("_"))


def common_facts() -> dict[str, object]:
    """What holds for any provider, custom ones too."""
    return tomllib.loads(data("provider_data", "_common.toml"))


def data(*path: str) -> str:
    """The text of a file of the catalog."""
    return files("rewrite.catalog").joinpath(*path).read_text(encoding="utf-8")


# -- a folder ----------------------------------------------------------------------------------------------


def in_folder(folder: Path, errors: ConfigErrors) -> Iterator[Said]:
    """What the files of `folder` say, each of the provider that it is named by. What is wrong with the folder
    goes to `errors`."""
    try:
        check_folder(folder)
    except NotOurs as error:
        errors.add((), f"{error.reason}: {error.remedy} {folder}", _option(folder))
        return
    except OSError as error:
        text = f"cannot be read ({error.strerror}): create the folder or correct its path"
        errors.add((), text, _option(folder))
        return
    for file in files_of(folder):
        try:
            provider_name(file.stem)
            tree = read_tree(file)
        except ValueError as error:
            errors.add((), f"{error}: rename the file", str(file))
        except Unreadable as error:
            errors.add((), str(error), str(file))
        else:
            yield _said(file.name.removesuffix(_SUFFIX), _with_code(tree, folder), str(file))


def files_of(folder: Path) -> list[Path]:
    """Those of providers, none where the folder cannot be read; what is hidden is an editor's."""
    return sorted(file for file in folder.glob(f"*{_SUFFIX}") if not file.name.startswith("."))


def _with_code(tree: Mapping[str, object], folder: Path) -> Mapping[str, object]:
    """`tree`, whose file of code, if it names one, lies in `folder`."""
    code = tree.get("code")
    file, colon, name = code.rpartition(":") if isinstance(code, str) else ("", "", "")
    return {**tree, "code": f"{located(file, folder)}:{name}"} if colon else tree


def _option(folder: Path) -> str:
    return f"--set rotator_providers={folder}"


def _said(name: str, tree: Mapping[str, object], source: str) -> Said:
    errors = ConfigErrors(source, {}, ("providers", name))
    tables = checked({"providers": {name: dict(tree)}}, errors, source)
    table = tables.providers.get(name, ProviderTable())
    for key in table.model_fields_set & set(_OF_THE_CONFIG):
        text = f"is for the config alone: write it there, as providers.{name}.{key}"
        errors.add(("providers", name, key), text)
    return Said(name, table, errors)


# -- distributions -----------------------------------------------------------------------------------------


def installed(errors: ConfigErrors, group: str = GROUP) -> Iterator[Said]:
    """What the entry points of `group` name: a mapping, or a resource of a package that is a TOML file. One
    that cannot be used goes to `errors`, with its distribution."""
    taken = dict.fromkeys(_built_in_names(), "a built-in provider")
    for entry in sorted(entry_points(group=group), key=lambda each: (_distribution(each), each.name)):
        source = f"entry point {entry.name!r} ({entry.value}) of the distribution {_distribution(entry)!r}"
        if entry.name in taken:
            errors.add((), f"the name is taken by {taken[entry.name]}: take one of the two out", source)
            continue
        taken[entry.name] = source
        try:
            provider_name(entry.name)
            tree = _tree(entry.load())
        except BaseException as error:  # noqa: BLE001  # whatever code of others raises, its user reads whose it is
            raised = masked(f"{type(error).__name__}: {error}")
            errors.add((), f"gives no provider: {raised}: mend it, or take it out", source)
        else:
            said = _said(entry.name, tree, source)
            if said.table.code and ":" in said.table.code:
                said.errors.add(("providers", entry.name, "code"), _REGISTERED)
            yield said


def _tree(found: object) -> Mapping[str, object]:
    if isinstance(found, Mapping):
        return found
    if isinstance(found, Traversable):
        return tomllib.loads(found.read_text(encoding="utf-8"))
    raise TypeError(f"a {type(found).__name__} is neither a mapping nor a resource of a package")


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else ""
