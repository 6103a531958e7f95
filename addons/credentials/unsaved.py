"""What changed in a pool and is not kept yet, and how a key is marked in what is kept."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pydantic import SecretStr

from addons.secrets.logins import Login
from rewrite.credentials.entries import Clearing, Key
from rewrite.credentials.state import PoolState


@dataclass(slots=True)
class Unsaved:
    """What changed in a pool since somebody kept it."""

    names: set[tuple[str, str]] = field(default_factory=set)
    """Of which provider and credential; no name: of the provider itself."""
    cleared: dict[tuple[str, str, Clearing], float] = field(default_factory=dict)
    """What was cleared, and when."""
    urgent: bool = False
    """Whether others who share the credentials are to know it at once."""
    turned: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """How many turns credentials had, and when the last; noted where somebody is woken."""
    recounted: set[Key] = field(default_factory=set)
    """Of what it is to be said again how much is counted: somebody else may have it otherwise."""
    wake: Callable[[bool], None] | None = None
    """Woken by changes: at once, or soon. None: nobody waits for them."""
    write: Callable[[], None] | None = None
    """Writes them now. None: that would take too long."""

    def at_once(self) -> None:
        """Others are to know it at once."""
        self.urgent = True
        if self.wake is not None:
            self.wake(True)

    def settled(self) -> None:
        """The pool is as it is to be: what is urgent is written before anything else is done."""
        if self.urgent and self.write is not None:
            self.write()

    def soon(self) -> None:
        """Others are to know soon where a conversation stays."""
        if self.wake is not None:
            self.wake(False)

    def turn(self, provider: str, name: str, now: float) -> None:
        """A credential has its turn."""
        if self.wake is not None:
            count, _ = self.turned.get((provider, name), (0, now))
            self.turned[provider, name] = count + 1, now

    def changed(self, provider: str, before: PoolState, after: PoolState) -> None:
        """Credentials serve now that did not, or the other way round."""
        names = (name for name, one in after.states.items() if one is not before.states.get(name))
        self.names.update((provider, name) for name in names)
        self.at_once()

    def clear(self, provider: str, names: Iterable[str], how: Clearing, now: float) -> None:
        """All that was known of these, and of the provider itself, was cleared."""
        self.cleared.update({(provider, name, how): now for name in ("", *names)})
        self.at_once()

    def taken(self) -> "Unsaved":
        """What changed of credentials; from now on it counts as saved."""
        found = Unsaved(self.names, self.cleared, self.urgent)
        self.names, self.cleared, self.urgent = set(), {}, False
        return found

    def recounted_taken(self) -> set[Key]:
        """What is to be said again; from now on it counts as said."""
        found, self.recounted = self.recounted, set()
        return found

    def turns_taken(self) -> dict[tuple[str, str], tuple[int, float]]:
        """The turns; from now on they count as saved."""
        found, self.turned = self.turned, {}
        return found


def mark_of(key: SecretStr | Login, salt: str) -> str:
    """What distinguishes a key from others under the same name; `salt`, hexadecimal digits, keeps it from
    saying anything of it. A login is the same whatever its token."""
    text = key.get_secret_value() if isinstance(key, SecretStr) else f"{key.kind.name} {key.file}"
    return hashlib.blake2b(text.encode(), key=bytes.fromhex(salt), digest_size=6).hexdigest()
