"""The adapters that exist: every module of this package with an `ADAPTER`, found once at load."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from rewrite.adapters.base import Factory


@cache
def discover(package: str = "rewrite.adapters") -> Mapping[str, Factory]:
    """Import every module of `package`; the factories by name. Raises ValueError on a name that is taken."""
    paths = importlib.import_module(package).__path__
    modules = (importlib.import_module(f"{package}.{info.name}") for info in pkgutil.iter_modules(paths))
    found: dict[str, Factory] = {}
    for factory in (module.ADAPTER for module in modules if hasattr(module, "ADAPTER")):
        if found.setdefault(factory.name, factory) is not factory:
            raise ValueError(f"adapter name {factory.name!r} is taken")
    return found
