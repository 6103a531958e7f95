"""Whether a server is one that we can use, and whether what is in it is ours."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from addons.store.line import Answer, StoreError

VERSION = 1
"""Of the layout of what is kept."""

_OLDEST = (6, 2)
_ITSELF = "valkey"
"""All versions of it are newer than the oldest Redis that we can use."""


class Unfit(StoreError):
    """A store that cannot be used. The text says why, and what to do."""


class Foreign(Unfit):
    """One that is of no use tomorrow either, and is left untouched."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a store says of itself."""

    store: str
    """Its id, made when it was first used. One that was emptied gets another."""
    salt: str
    """What all who share it make marks of keys with, as hexadecimal digits."""


def new_meta() -> str:
    """As it is written by whoever comes first."""
    return json.dumps({"version": VERSION, "store": secrets.token_hex(8), "salt": secrets.token_hex(16)})


def checked(key: str, found: Answer) -> Meta:
    """What stands at `key`. Raises Foreign."""
    other = "is left as it is: name another database or prefix in [state]"
    try:
        meta = json.loads(found) if isinstance(found, bytes) else None
    except ValueError:
        meta = None
    match meta:
        case {"version": int(version)} if version > VERSION:
            raise Foreign(f"its {key} is of version {version}, this rotator knows {VERSION}: it {other}")
        case {"version": int(version), "store": str(store), "salt": str(salt)} if version == VERSION and salt:
            return Meta(store, salt)
    raise Foreign(f"its {key} is not what rotator writes: it {other}")


def check_server(hello: Answer) -> None:
    """Whether a server is of use, by its answer to HELLO. Raises Unfit."""
    facts = facts_of(hello)
    version = facts.get("version", "")
    if facts.get("server") != _ITSELF and _numbers(version) < _OLDEST:
        raise Foreign(f"it is of version {version or 'unknown'}: Redis 6.2 or newer, or Valkey, is needed")
    if facts.get("mode", "standalone") != "standalone":
        raise Foreign(f"it runs as {facts['mode']}: Sentinel and Cluster are not supported: name one server")
    if facts.get("role", "master") != "master":
        raise Unfit("it is a replica, which cannot be written to: name its master")


def facts_of(hello: Answer) -> Mapping[str, str]:
    """What the answer to HELLO says: names and values take turns, as the protocol RESP2 has it."""
    texts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else "" for each in _list(hello)]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _list(answer: Answer) -> list[Answer]:
    return answer if isinstance(answer, list) else []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
