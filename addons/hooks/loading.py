"""A provider's own code is loaded: from a file of the user's, or by the name under which it is registered.

Whatever the code raises while it is loaded becomes one line, with file and line.
"""

import sys
import traceback
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from pathlib import Path
from types import ModuleType

from addons.hooks.registry import distribution
from addons.secrets.keys import located
from addons.secrets.owned_file import NotOurs, read_own
from rewrite.hooks.base import POINTS, Hooks
from rewrite.hooks.calling import ProviderHooks, overridden

_LARGEST = 1 << 20
"""Bytes of a file of code."""
_CLOSE = 0.85
"""How alike two names are of which one is taken for the other misspelt."""


class Unloadable(Exception):
    """Code that cannot be used; the text says why and what to do."""


def code_file(reference: str, folder: Path) -> Path | None:
    """The file that `reference` names, `folder` being where relative paths begin. None: it is a name."""
    file, colon, _ = reference.rpartition(":")
    return located(file, folder) if colon else None


def load_hooks(
    provider: str, reference: str, folder: Path, known: Mapping[str, type | EntryPoint]
) -> ProviderHooks | None:
    """The hooks that `reference` names for `provider`; empty: what is `known` under its own name, None where
    nothing is. Raises Unloadable."""
    file = code_file(reference, folder)
    if file is not None:
        return _made(provider, _in_file(file, reference.rpartition(":")[2]), str(file))
    name = reference or provider
    if name not in known:
        if not reference:
            return None
        close = get_close_matches(name, list(known), n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        raise Unloadable(
            f"no code is registered as {name!r}{suggestion}: install it, or name a file.py:Class"
        )
    found = known[name]
    code = _loaded(found) if isinstance(found, EntryPoint) else found
    return _made(provider, code, f"the code of {name}")


def _in_file(file: Path, name: str) -> object:
    """What the file defines under `name`."""
    module = ModuleType(f"rotator_code {file}")  # two files of one name are two
    module.__file__ = str(file)
    source = _source(file)
    sys.modules[module.__name__] = module  # where dataclasses look for the types of their fields
    try:
        exec(compile(source, str(file), "exec"), vars(module))  # the user's own code, which the config names
    except BaseException as error:  # noqa: BLE001  # code of others
        raise Unloadable(f"{file}{_where(error, str(file))}: {_what(error)}: correct it there") from None
    if not hasattr(module, name):
        raise Unloadable(f"{file} has no {name}: define it there, or name what it has")
    return getattr(module, name)


def _source(file: Path) -> bytes:
    try:
        return read_own(file, _LARGEST)
    except NotOurs as error:
        raise Unloadable(f"{file}: {error.reason}: {error.remedy} {file}") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a usable name"
        raise Unloadable(f"{file}: cannot be read ({why}): create it or correct its path") from None


def _loaded(entry: EntryPoint) -> object:
    try:
        found: object = entry.load()
    except BaseException as error:  # noqa: BLE001  # code of others
        raise Unloadable(
            f"entry point {entry.name!r} ({entry.value}) of the distribution {distribution(entry)!r}: "
            f"{_what(error)}: mend it, or take it out of the environment"
        ) from None
    return found


def _made(provider: str, code: object, whose: str) -> ProviderHooks:
    if not isinstance(code, type):
        raise Unloadable(f"{whose} is a {type(code).__name__}: name a class")
    if not overridden(code):
        raise Unloadable(f"{whose}: the class {code.__name__} has none of {', '.join(POINTS)}: define one")
    try:
        made: Hooks = code()
    except BaseException as error:  # noqa: BLE001  # code of others
        raise Unloadable(f"{whose}{_where(error, whose)}: {_what(error)}: correct it there") from None
    for name in sorted(overridden(code)):
        if why := _uncallable(made, name):
            raise Unloadable(f"{whose}: {code.__name__}.{name} {why}")
    for name, meant in _misspelt(code):
        raise Unloadable(
            f"{whose}: {code.__name__}.{name} is no hook: did you mean {meant}? What is none is named _{name}"
        )
    return ProviderHooks(provider, made)


def _misspelt(code: type) -> Iterator[tuple[str, str]]:
    """Methods that would never be called, each with the hook that it is named almost like."""
    for name in dir(code):
        if not name.startswith("_") and name not in POINTS:
            yield from ((name, close) for close in get_close_matches(name, POINTS, n=1, cutoff=_CLOSE))


def _uncallable(hooks: Hooks, name: str) -> str:
    """Why the hook `name` of an object cannot be called as it is; empty: it can."""
    hook = getattr(hooks, name)
    if not callable(hook):
        return "is no method: define it with def"
    if iscoroutinefunction(hook) or isasyncgenfunction(hook) or isgeneratorfunction(hook):
        return "is asynchronous or a generator: define it with def alone, and return what it gives"
    wanted = [one for one in signature(getattr(Hooks, name)).parameters if one != "self"]
    try:
        signature(hook).bind(*wanted)
    except (TypeError, ValueError):
        return f"is called with {' and '.join(wanted)}: let it take that"
    return ""


def _where(error: BaseException, file: str) -> str:
    """The last line of `file` that it came through; empty for none."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f" line {error.lineno}"
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == file]
    return f" line {lines[-1]}" if lines else ""


def _what(error: BaseException) -> str:
    """The type alone of what may quote a secret; a name or a module that is missing is said."""
    said = isinstance(error, ImportError | NameError | SyntaxError | AttributeError)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if said else type(error).__name__
