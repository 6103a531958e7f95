"""Where what is known of credentials is kept beside the pool itself, for others and for later."""

from typing import Protocol

from rewrite.credentials.entries import Entries


class StateError(Exception):
    """A folder that cannot be used; the message says which, why, and what to do."""


class StateStore(Protocol):
    """Keeps entries for all who share them. There need not be one: a pool is its own memory."""

    @property
    def is_prompt(self) -> bool:
        """Whether conversations may be written with each look, and not once a second."""
        ...

    @property
    def salt(self) -> str:
        """What all who share it make marks of keys with, as hexadecimal digits."""
        ...

    async def exchange(self, changes: Entries) -> Entries:
        """Keep what one proxy changed; gives what others changed since it last asked, as `changes` too. What
        cannot be kept now is tried again the next time."""
        ...

    def dropped(self, entries: Entries) -> None:
        """These were cleared."""
        ...

    async def close(self) -> None:
        """Keep what was put off."""
        ...

    def moved(self, seconds: float) -> None:
        """The clock of the pool is ahead by so much, and so is what was given in changes."""
        ...
