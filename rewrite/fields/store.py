"""What the field cache holds: the values of each rule by their scope, the least recently used first out.

Pure: `now` is seconds of any clock that goes on evenly, the same one in all calls.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from protocols.model.wirejson import dump
from rewrite.fields.rule import Rule

type Key = bytes
"""A hash of 16 bytes: whose a value is; a second one: of which tool call."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The values of one key."""

    values: tuple[object, ...]
    """Plain JSON, in order; never edited."""
    sizes: tuple[int, ...]
    """Bytes of JSON of each."""
    at: float
    """When they were stored."""

    @property
    def size(self) -> int:
        return sum(self.sizes)


@dataclass(slots=True)
class Shelf:
    """What one rule holds."""

    slots: OrderedDict[Key, Slot] = field(default_factory=OrderedDict)
    """Those used last at the end."""
    count: int = 0
    """Values in all of them."""
    size: int = 0
    """Bytes of JSON in all of them."""

    def take(self, key: Key) -> None:
        if old := self.slots.pop(key, None):
            self.count -= len(old.values)
            self.size -= old.size

    def give(self, key: Key, slot: Slot) -> None:
        """Under a key that has none."""
        self.slots[key] = slot
        self.count += len(slot.values)
        self.size += slot.size


class Store:
    """Of one proxy. One thread uses it."""

    def __init__(self, refuses: Callable[[str], bool] = lambda _: False) -> None:
        """`refuses`: whether a value must not be kept, by its JSON: one that holds a key would go to whom the
        key is not for."""
        self._refuses = refuses
        self._shelves: dict[bytes, Shelf] = {}
        self.changes = 0
        """How often values were stored that are to outlive a restart."""

    def get(self, rule: Rule, key: Key, now: float) -> tuple[object, ...]:
        """The values of `key`, which count as used now; none where there are none."""
        shelf = self._shelves.get(rule.digest)
        slot = shelf.slots.get(key) if shelf else None
        if shelf is None or slot is None:
            return ()
        if expired(slot, rule, now):
            shelf.take(key)
            return ()
        shelf.slots.move_to_end(key)
        return slot.values

    def holds(self, rule: Rule) -> bool:
        """Whether there are values of `rule` at all."""
        shelf = self._shelves.get(rule.digest)
        return shelf is not None and bool(shelf.slots)

    def put(self, rule: Rule, key: Key, values: Sequence[object], now: float) -> None:
        """Keep `values` in the place of those of `key`. Of too many the first go; what no JSON can be written
        of, or is above the bounds by itself, is not kept, and what it follows is out of date."""
        shelf = self._shelves.setdefault(rule.digest, Shelf())
        shelf.take(key)
        self.changes += rule.persist
        if slot := self._slot(rule, values, now):
            shelf.give(key, slot)
            _bound(shelf, rule, now)

    def restore(self, rule: Rule, key: Key, values: Sequence[object], at: float, now: float) -> None:
        """Have `values` that were stored elsewhere, at `at`, unless later ones are here."""
        shelf = self._shelves.setdefault(rule.digest, Shelf())
        slot, there = self._slot(rule, values, at), shelf.slots.get(key)
        if slot and not expired(slot, rule, now) and (there is None or there.at < at):
            shelf.take(key)
            shelf.give(key, slot)
            _bound(shelf, rule, now)

    def retain(self, rules: Collection[Rule]) -> None:
        """Forget what other rules than these hold."""
        kept = {rule.digest for rule in rules}
        self._shelves = {digest: shelf for digest, shelf in self._shelves.items() if digest in kept}

    def held(self, rule: Rule) -> Iterator[tuple[Key, Slot]]:
        """All that a rule holds, the least recently used first."""
        shelf = self._shelves.get(rule.digest)
        yield from shelf.slots.items() if shelf else ()

    def _slot(self, rule: Rule, values: Sequence[object], now: float) -> Slot | None:
        """The last of `values` that fit."""
        kept: list[object] = []
        sizes: list[int] = []
        for value in reversed(values):
            size = self._size(value)
            if size is None:
                continue
            if len(kept) == rule.max_values or sum(sizes) + size > rule.max_bytes:
                break
            kept.append(value)
            sizes.append(size)
        return Slot(tuple(reversed(kept)), tuple(reversed(sizes)), now) if kept else None

    def _size(self, value: object) -> int | None:
        """Bytes of its JSON; None where it has none, or is not to be kept."""
        try:
            data = dump(value)
        except (ValueError, TypeError, RecursionError):
            return None
        return None if self._refuses(data.decode("utf-8", "replace")) else len(data)


def key_of(*parts: str | bytes) -> Key:
    """A hash of `parts`, of which none runs into the next."""
    found = blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8))
        found.update(data)
    return found.digest()


def expired(slot: Slot, rule: Rule, now: float) -> bool:
    return 0 < rule.ttl <= now - slot.at


def _bound(shelf: Shelf, rule: Rule, now: float) -> None:
    """Let go what is over, and then what was used least recently."""
    while shelf.slots:
        key = next(iter(shelf.slots))
        fits = shelf.count <= rule.max_values and shelf.size <= rule.max_bytes
        if fits and not expired(shelf.slots[key], rule, now):
            return
        shelf.take(key)
