"""How much each user may use, as the config says."""

from collections.abc import Mapping

from addons.config.errors import ConfigErrors
from addons.config.tables import UserTable
from rewrite.policies.user_caps import Caps


def folded(name: str) -> str:
    """What is the same in all ways to write a name that LDAP takes for one: case, and blanks around it and
    more than one of them within."""
    return " ".join(name.split()).casefold()


def caps_of(tables: Mapping[str, UserTable], errors: ConfigErrors) -> Mapping[str, Caps]:
    """By the `folded` names of users."""
    found: dict[str, Caps] = {}
    for name, table in tables.items():
        if folded(name) in found:
            errors.add(("users", name), "is the same user as another one: keep one of the two tables")
        found[folded(name)] = Caps(**table.given())
    return found
