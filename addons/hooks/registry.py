"""Code of providers by name: what ships with the proxy, and what installed distributions name in their entry
points.

A distribution adds the hooks of a provider by the entry point `name = "module:Class"` in the group
`rotator.hooks`. A provider of that name has them; one of another name says `code = "name"`.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from addons.hooks.bedrock import Bedrock

GROUP = "rotator.hooks"

BUILT_IN: Mapping[str, type] = {"bedrock": Bedrock}


def registered(group: str = GROUP) -> dict[str, type | EntryPoint]:
    """What is known, by name. An entry point is not loaded before a provider needs it.

    Raises ValueError where a name is taken.
    """
    found: dict[str, type | EntryPoint] = dict(BUILT_IN)
    for entry in sorted(entry_points(group=group), key=distribution):
        if entry.name in found:
            raise ValueError(
                f"entry point {entry.name!r} ({entry.value}) of the distribution {distribution(entry)!r} in "
                f"{group}: the name is taken: rename it there, or take the distribution out"
            )
        found[entry.name] = entry
    return found


def distribution(entry: EntryPoint) -> str:
    """The name of the one that an entry point came with."""
    return entry.dist.name if entry.dist else ""
