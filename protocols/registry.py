"""The protocols that exist, found once at load: every module of this package with a `PROTOCOL`, and what
installed distributions name in their entry points.

A distribution adds one by the entry point `name = "module:PROTOCOL"` in the group `rotator.protocols`; from
then on its names stand beside the built-in ones. A provider that differs in one detail is a subclass that
overrides one method, with a `name` of its own and `aliases` of its own, which may be none.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from protocols.base import Editor, Translator, WireProtocol

GROUP = "rotator.protocols"

_FACETS = {"translator": Translator, "editor": Editor}
_MEMBERS = tuple(name for name in vars(WireProtocol) if not name.startswith("_"))


class Registry:
    """Protocols by name or alias. Raises ValueError on a name that is taken, KeyError on an unknown one."""

    def __init__(self, protocols: Iterable[WireProtocol] = ()) -> None:
        self._by_name: dict[str, WireProtocol] = {}
        for protocol in protocols:
            self.add(protocol)

    def add(self, protocol: WireProtocol, *, replace: bool = False) -> None:
        """Make `protocol` known by its name and aliases; nothing is changed where one of them is taken.

        `replace`: it takes the place of the one that is known by its name, whose aliases go too unless they
        are its own. Raises ValueError if there is none.
        """
        kept = dict(self._by_name)
        if replace:
            kept = self._without(protocol.name)
        for name in (protocol.name, *protocol.aliases):
            if name in kept:
                raise ValueError(_taken(name, protocol, kept[name]))
            kept[name] = protocol
        self._by_name = kept

    def _without(self, name: str) -> dict[str, WireProtocol]:
        if name not in self._by_name:
            raise ValueError(f"there is no protocol {name!r} to replace")
        replaced = self._by_name[name]
        return {known: protocol for known, protocol in self._by_name.items() if protocol is not replaced}

    def __getitem__(self, name: str) -> WireProtocol:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[WireProtocol]:
        return iter({protocol.name: protocol for protocol in self._by_name.values()}.values())


def _taken(name: str, protocol: WireProtocol, holder: WireProtocol) -> str:
    message = f"protocol name {name!r} of {protocol.name!r} is taken by {holder.name!r}"
    if name == protocol.name or not isinstance(protocol, type(holder)):
        return message
    return f"{message}, which it is derived from: aliases are inherited, so give it its own (`aliases = ()`)"


def discover(package: str = "protocols", group: str = GROUP) -> Registry:
    """Import every module of `package` and register those that define a `PROTOCOL`; then what the entry
    points of `group` name.

    Raises ValueError, with the distribution and the entry point, for one that cannot be used.
    """
    paths = importlib.import_module(package).__path__
    modules = (importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(paths))
    registry = Registry(module.PROTOCOL for module in modules if hasattr(module, "PROTOCOL"))
    for entry in sorted(entry_points(group=group), key=_place):
        _add(registry, entry)
    return registry


def _add(registry: Registry, entry: EntryPoint) -> None:
    """Whatever a module of others raises when it is imported, whoever is to learn whose it is reads this."""
    try:
        registry.add(_protocol(entry.load()))
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"entry point {entry.name!r} ({entry.value}) of the distribution {_distribution(entry)!r} "
            f"gives no protocol: {raised}"
        ) from error


def _protocol(found: object) -> WireProtocol:
    if isinstance(found, type):
        raise TypeError(f"the class {found.__name__} itself; name an instance of it")
    missing = [name for name in _MEMBERS if not hasattr(found, name)]
    if missing:
        raise TypeError(f"a {type(found).__name__} without {', '.join(missing)}")
    for name, facet in _FACETS.items():
        if not isinstance(getattr(found, name), facet | None):
            raise TypeError(f"the {name} of a {type(found).__name__} is neither None nor of {facet.__name__}")
    return cast(WireProtocol, found)


def _place(entry: EntryPoint) -> tuple[str, str]:
    return _distribution(entry), entry.name


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else ""
