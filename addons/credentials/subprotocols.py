"""The key that a WebSocket carries among its subprotocols, since a web page can set no header.

Documented by OpenAI: `new WebSocket(url, ["realtime", "openai-insecure-api-key.KEY"])`, and the account
beside it as `openai-organization.ID` and `openai-project.ID`.
"""

import re

HEADER = "sec-websocket-protocol"
_KEY = "openai-insecure-api-key."
_ACCOUNT = ("openai-organization.", "openai-project.")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def split(offer: str) -> tuple[str, list[tuple[int, str]]]:
    """An offer without keys, the same text where it has none; the keys, each with its place in the list."""
    items = _items(offer)
    keys = [(place, item[len(_KEY) :]) for place, item in enumerate(items) if _is_key(item)]
    return (", ".join(item for item in items if not _is_key(item)) if keys else offer), keys


def with_key(offer: str, place: int, key: str) -> str:
    """`offer`, which may be empty, with a key at that place."""
    items = _items(offer)
    items.insert(place, _KEY + key)
    return ", ".join(items)


def without_account(offer: str) -> str:
    """An offer without the account that the client's own key belongs to."""
    return ", ".join(item for item in _items(offer) if not item.lower().startswith(_ACCOUNT))


def can_carry(key: str) -> bool:
    """Whether a key may stand in such a list: its items are tokens (RFC 6455, section 4.1)."""
    return bool(_TOKEN.fullmatch(key))


def is_offered(chosen: str, offer: str) -> bool:
    """Whether a server chose what its client offered (RFC 6455, section 4.2.2)."""
    return chosen.strip() in _items(offer)


def _items(offer: str) -> list[str]:
    return [item for part in offer.split(",") if (item := part.strip())]


def _is_key(item: str) -> bool:
    return item.lower().startswith(_KEY)
