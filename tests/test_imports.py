"""The layers (scripts, tests -> rotator -> addons -> rewrite -> protocols), and what each may use."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A module imports from its own level and from lower ones.
LEVEL = {"protocols": 0, "rewrite": 1, "addons": 2, "rotator": 3, "scripts": 4, "tests": 4}
PURE_LAYERS = ("protocols", "rewrite")

# The folders of each layer, highest first: one imports from those further down alone, and no two beside each
# other. A folder of protocols that is not named is a protocol, NAME. CONTRIBUTING.md shows the same lines.
FOLDERS = {
    "addons": (
        "rotator",
        "reload",
        "options, parts",
        "pages, shutdown, startup, websocket",
        "call",
        "responses",
        "state",
        "views",
        "credentials, records, team",
        "oauth",
        "store, upstream",
        "config, mitm, usage",
        "hooks",
        "runtime, secrets",
    ),
    "rewrite": (
        "exchange",
        "continuation, credentials, oauth, responses",
        "policies, targets",
        "catalog, hooks, translation",
        "adapters",
        "usage",
        "records, views",
        "values",
        "fields",
    ),
    "protocols": ("NAME, registry", "framing, shared", "base", "model"),
}

# No clocks, randomness, sockets or files in any of these. datetime and email.utils are here to read dates;
# asking them for the present is refused below.
PURE_MODULES = frozenset(
    """
    __future__ abc base64 binascii bisect codecs collections collections.abc contextlib copy dataclasses
    datetime decimal difflib email.utils enum fnmatch fractions functools graphlib hashlib heapq hmac html
    http ipaddress itertools json math numbers operator re string struct textwrap types typing unicodedata
    urllib.parse zlib
    msgspec msgspec.json msgspec.structs pydantic_core
    """.split()
)
# The scan for protocols, once at load.
SCANNERS = frozenset({"protocols.registry", "rewrite.adapters.registry"})
SCANNING = frozenset({"importlib", "importlib.metadata", "pkgutil"})
# What comes with an extra, which a proxy may lack, and the modules that are loaded only where it is used.
EXTRAS = frozenset({"anthropic", "botocore", "openai", "redis"})
OF_EXTRAS = frozenset(
    {"addons.store.wire", "rotator.demo.clients.anthropic_sdk", "rotator.demo.clients.openai_sdk"}
)
READS_CLOCK = frozenset({"now", "utcnow", "today", "fromtimestamp", "localtime", "formatdate"})


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: by whom, where, and whether inside a function."""

    importer: str
    place: str
    target: str
    hidden: bool

    def __str__(self) -> str:
        return f"{self.place}: {self.importer} imports {self.target}"


def _sources() -> dict[str, Path]:
    files = (file for layer in LEVEL for file in sorted((ROOT / layer).rglob("*.py")))
    return {_module_name(file): file for file in files}


def _module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = _sources()


@cache
def _trees() -> Mapping[str, ast.Module]:
    return {name: ast.parse(file.read_bytes(), str(file)) for name, file in SOURCES.items()}


@cache
def _imports() -> Sequence[Import]:
    return [each for name, tree in _trees().items() for each in _imports_of(name, tree, hidden=False)]


def _imports_of(name: str, node: ast.AST, *, hidden: bool) -> Iterator[Import]:
    """What stands in the statements of a node. No expression has an import in it."""
    for inner in ast.iter_child_nodes(node):
        for target in _targets(inner):
            yield Import(name, _place(name, inner), target, hidden)
        if isinstance(inner, ast.stmt | ast.ExceptHandler | ast.match_case):
            in_function = isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports_of(name, inner, hidden=hidden or in_function)


def _targets(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names, level=0):
            # `from package import module` names a module; `from module import thing` does not.
            yield from {_our_module(f"{module}.{alias.name}") or module for alias in names}
        case ast.ImportFrom():
            yield "a relative name"


def _our_module(name: str) -> str:
    return name if name in SOURCES else ""


def _place(name: str, node: ast.AST) -> str:
    return f"{SOURCES[name].relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def _layer(module: str) -> str:
    return module.partition(".")[0]


def _folder(module: str) -> str:
    """The folder of a layer that a module is in; a module that is in none stands for itself."""
    return ".".join(module.split(".")[:2])


def _height(folder: str) -> int:
    """How far up in its layer a folder is."""
    layer, _, name = folder.partition(".")
    rows = [row.split(", ") for row in reversed(FOLDERS[layer])]
    unnamed = "NAME" if layer == "protocols" else name
    known = name if any(name in row for row in rows) else unnamed
    return next(height for height, row in enumerate(rows) if known in row)


def _report(rule: str, offenders: list[str]) -> str:
    return "\n  ".join([rule, *offenders])


def test_the_sources_are_found() -> None:
    assert {_layer(name) for name in SOURCES} == set(LEVEL)
    assert any(each.target == "ast" and each.importer == "tests.test_imports" for each in _imports())


def test_imports_run_one_way() -> None:
    against = [
        str(each) for each in _imports() if LEVEL.get(_layer(each.target), -1) > LEVEL[_layer(each.importer)]
    ]
    assert not against, _report("imports run scripts, tests -> addons -> rewrite -> protocols:", against)


def test_protocols_and_rewrite_use_pure_modules_only() -> None:
    allowed = {name: PURE_MODULES | (SCANNING if name in SCANNERS else set()) for name in SOURCES}
    impure = [
        str(each)
        for each in _imports()
        if _layer(each.importer) in PURE_LAYERS
        and _layer(each.target) not in LEVEL
        and each.target not in allowed[each.importer]
    ]
    assert not impure, _report(
        "no clocks, randomness, sockets, files or frameworks in protocols, rewrite:", impure
    )


def test_protocols_and_rewrite_are_given_the_time() -> None:
    asking = [
        f"{_place(name, node)}: calls {node.func.attr}()"
        for name, tree in _trees().items()
        if _layer(name) in PURE_LAYERS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READS_CLOCK
    ]
    assert not asking, _report("now comes in as an argument:", asking)


def test_no_module_reaches_itself() -> None:
    graph: dict[str, set[str]] = {name: set() for name in SOURCES}
    for each in _imports():
        if each.target in SOURCES:
            graph[each.importer].add(each.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"import cycle: {' <- '.join(error.args[1])}") from None


def test_folders_import_from_those_below_them() -> None:
    against = [
        str(each)
        for each in _imports()
        if _layer(each.importer) in FOLDERS
        and _layer(each.target) == _layer(each.importer)
        and "." in each.target
        and _folder(each.target) != _folder(each.importer)
        and _height(_folder(each.target)) >= _height(_folder(each.importer))
    ]
    assert not against, _report("a folder imports from those below it in FOLDERS:", against)


def test_contributing_shows_the_order_of_the_folders() -> None:
    text = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    missing = [line for rows in FOLDERS.values() if (line := " -> ".join(rows)) not in text]
    assert not missing, _report("CONTRIBUTING.md shows FOLDERS:", missing)


def test_every_policy_has_its_test() -> None:
    folder = ROOT / "rewrite" / "policies"
    files = [f"test_{file.name}" for file in folder.glob("*.py") if file.name != "__init__.py"]
    missing = [name for name in files if not (ROOT / "tests" / "rewrite" / "policies" / name).exists()]
    assert not missing, _report("a policy has a table test:", missing)


def test_imports_stand_at_the_top() -> None:
    hidden = [str(each) for each in _imports() if each.hidden]
    assert not hidden, _report("imports stand at the top of the file, not in functions:", hidden)


def test_h11_is_known_to_those_who_speak_http1() -> None:
    users = {
        each.importer
        for each in _imports()
        if _layer(each.target) == "h11" and _layer(each.importer) in ("addons", *PURE_LAYERS)
    }
    speakers = {"addons.mitm.client_http1"}
    assert users <= speakers, _report("h11 belongs to client_http1.py:", sorted(users))


def test_mitmproxy_is_known_to_the_edge() -> None:
    users = [
        str(each)
        for each in _imports()
        if _layer(each.target) == "mitmproxy"
        and _layer(each.importer) not in ("addons", "tests")
        # One makes mitmproxy's certificate authority, one is mitmproxy's command, one an add-on of its own.
        and each.importer not in ("rotator.authority", "rotator.proxy", "scripts.agentkit.refuse")
    ]
    assert not users, _report("mitmproxy belongs to addons:", users)


def test_nothing_needs_an_extra_to_be_loaded() -> None:
    needing = [
        str(each)
        for each in _imports()
        if LEVEL[_layer(each.importer)] < LEVEL["tests"]
        and (_layer(each.target) in EXTRAS or each.target in OF_EXTRAS)
        and each.importer not in OF_EXTRAS
    ]
    assert not needing, _report("what needs an extra is loaded by import_module:", needing)
