"""Keys that must not get out: blacked out in bytes on their way, redacted in text for people."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from pydantic import SecretStr

SHORTEST_SECRET = 4
"""Shorter ones cannot be told from ordinary text."""

LONGEST_MEMORY = 1_000
REDACTED = "[redacted]"
_LOOKS_LIKE_A_KEY = re.compile(
    r"\bsk-[\w-]{8,}|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w.-]+|(?i:bearer )\S+|(?<=[?&]key=)[^&\s]+"
)


class Redactor:
    """Every secret that this process has seen. `redact` is applied where records are written."""

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, None] = OrderedDict()

    def learn(self, secrets: Iterable[SecretStr]) -> None:
        for secret in secrets:
            value = secret.get_secret_value()
            if len(value) >= SHORTEST_SECRET:
                self._secrets[value] = None
                self._secrets.move_to_end(value)
        while len(self._secrets) > LONGEST_MEMORY:
            self._secrets.popitem(last=False)

    def redact(self, text: str) -> str:
        """`text` without any secret, fit to be written as UTF-8."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return _LOOKS_LIKE_A_KEY.sub(REDACTED, text)


class Blackout:
    """Replaces secrets in a stream of bytes by stars of the same length.

    A secret may be cut between two pieces, so a piece's end that begins one is kept until the next.
    """

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        values = (secret.get_secret_value().encode() for secret in secrets)
        self._secrets = [value for value in values if len(value) >= SHORTEST_SECRET]
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go out now."""
        data = self.whole(self._kept + data)
        kept = max((_overlap(data, secret) for secret in self._secrets), default=0)
        self._kept = data[len(data) - kept :]
        return data[: len(data) - kept]

    def rest(self) -> bytes:
        """What was kept: the stream has ended."""
        kept, self._kept = self._kept, b""
        return kept

    def whole(self, data: bytes) -> bytes:
        """`data` without regard to pieces before or after it."""
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data

    def headers(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple((name, self._text(value)) for name, value in pairs)

    def _text(self, value: str) -> str:
        return self.whole(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _overlap(data: bytes, secret: bytes) -> int:
    """The length of the longest end of `data` that begins `secret`."""
    longest = min(len(data), len(secret) - 1)
    return next((size for size in range(longest, 0, -1) if secret.startswith(data[-size:])), 0)
