"""The protocols that exist: every module of this package with a `PROTOCOL`, found once at load."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator

from protocols.base import WireProtocol


class Registry:
    """Protocols by name or alias. Raises ValueError on a name that is taken, KeyError on an unknown one."""

    def __init__(self, protocols: Iterable[WireProtocol] = ()) -> None:
        self._by_name: dict[str, WireProtocol] = {}
        for protocol in protocols:
            self.add(protocol)

    def add(self, protocol: WireProtocol) -> None:
        for name in (protocol.name, *protocol.aliases):
            if name in self._by_name:
                raise ValueError(f"protocol name {name!r} of {protocol.name!r} is taken")
            self._by_name[name] = protocol

    def __getitem__(self, name: str) -> WireProtocol:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[WireProtocol]:
        return iter({protocol.name: protocol for protocol in self._by_name.values()}.values())


def discover(package: str = "protocols") -> Registry:
    """Import every module of `package` and register those that define a `PROTOCOL`."""
    paths = importlib.import_module(package).__path__
    modules = (importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(paths))
    return Registry(module.PROTOCOL for module in modules if hasattr(module, "PROTOCOL"))
