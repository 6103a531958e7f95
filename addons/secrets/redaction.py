"""Keys that must not get out: blacked out in bytes on their way, redacted in text for people."""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

from pydantic import SecretStr

SHORTEST_SECRET = 16
"""Characters. Shorter ones ("EMPTY", "ollama") are placeholders, and words of answers and tool arguments."""

LONGEST_MEMORY = 200
"""Keys of clients. All are one pattern, and a new one has it compiled again: some 30 ms for so many."""

REDACTED = "[redacted]"
_LOOKS_LIKE_A_KEY = re.compile(
    r"\bsk-[\w-]{8,}|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w.-]+|(?i:bearer )\S+"
    r"|(?i:(?<=[?&]key=)|(?<=[?&]api[-_]key=)|(?<=[?&]access_token=))[^&\s]+"
)
_RANDOM = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,}|[A-Za-z]{20,}")
"""What no word looks like: of letters and digits, or longer than any word of a name."""


_ESCAPED = re.compile("%..")
_HTML_SAFE = {letter: f"\\u{ord(letter):04x}" for letter in "<>&'"}
"""How Go and PHP write these letters in JSON."""


def is_searched_for(secret: SecretStr) -> bool:
    """Whether a key is looked for in payloads and records."""
    return len(secret.get_secret_value()) >= SHORTEST_SECRET


def key_shaped(secrets: Iterable[SecretStr]) -> list[SecretStr]:
    """Of what clients sent for a key, what cannot be ordinary text: others would teach a redactor words."""
    return [one for one in secrets if is_searched_for(one) and _RANDOM.search(one.get_secret_value())]


class Redactor:
    """Every secret that this process has seen. `redact` is applied where records are written.

    All forms of all secrets are one pattern, which is compiled when they have changed.
    """

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, None] = OrderedDict()
        self._kept: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def keep(self, secrets: Iterable[SecretStr]) -> None:
        """Those of a pool: however many keys clients send, these are not forgotten."""
        self._kept |= {each.get_secret_value(): None for each in secrets if is_searched_for(each)}
        self._pattern = None

    def learn(self, secrets: Iterable[SecretStr]) -> None:
        """Those that are long enough; of what clients sent, `key_shaped` ones are to be given."""
        for secret in secrets:
            if is_searched_for(secret):
                self._note(secret.get_secret_value())

    def _note(self, value: str) -> None:
        if value not in self._secrets:
            self._pattern = None
        self._secrets[value] = None
        self._secrets.move_to_end(value)
        if len(self._secrets) > LONGEST_MEMORY:
            self._secrets.popitem(last=False)

    def redact(self, text: str) -> str:
        """`text` without any secret, in any form that `forms` knows, fit to be written as UTF-8."""
        if self._pattern is None:
            self._pattern = _pattern_of((*self._kept, *self._secrets))
        text = self._pattern.sub(REDACTED, text)
        return _LOOKS_LIKE_A_KEY.sub(REDACTED, text.encode("utf-8", "replace").decode("utf-8"))


def _pattern_of(secrets: Iterable[str]) -> re.Pattern[str]:
    """What matches any of them, the longest first; of none, nothing."""
    found = {form.decode("utf-8", "surrogateescape") for secret in secrets for form in forms(secret)}
    ordered = sorted(found, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


class Blackout:
    """Replaces secrets in a stream of bytes by stars of the same length, in every form that `forms` knows.

    A secret may be cut between two pieces, so a piece's end that begins one is kept until the next.
    """

    def __init__(self, secrets: Iterable[SecretStr]) -> None:
        values = [secret.get_secret_value() for secret in secrets if is_searched_for(secret)]
        found = {form for value in values for form in forms(value)}
        self._forms = sorted(found, key=len, reverse=True)
        self._longest = max(map(len, found), default=0)
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go out now."""
        data = self.whole(self._kept + data)
        kept = max((_overlap(data, form) for form in self._forms), default=0)
        self._kept = data[len(data) - kept :]
        return data[: len(data) - kept]

    def rest(self) -> bytes:
        """What was kept: the stream has ended."""
        kept, self._kept = self._kept, b""
        return kept

    def finds(self, data: bytes) -> bool:
        """Whether a secret stands in the stream that `data` goes on with; for one that is only looked at."""
        seen = self._kept + data
        self._kept = seen[max(0, len(seen) - self._longest) :]
        return any(form in seen for form in self._forms)

    def whole(self, data: bytes) -> bytes:
        """`data` without regard to pieces before or after it."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def headers(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Names too, in which HTTP/2 knows no capitals."""
        everything = "\n".join(part for pair in pairs for part in pair)
        data = everything.encode("utf-8", "surrogateescape").lower()
        if not any(form.lower() in data for form in self._forms):
            return tuple(pairs)
        return tuple((self._name(name), self.text(value)) for name, value in pairs)

    def text(self, value: str) -> str:
        return self.whole(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _name(self, name: str) -> str:
        data = name.encode("utf-8", "surrogateescape")
        for form in self._forms:
            data = re.sub(re.escape(form), b"*" * len(form), data, flags=re.IGNORECASE)
        return data.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)
def forms(secret: str) -> frozenset[bytes]:
    """How a secret is written where it is echoed: as it is, in JSON, and in a URL or a form."""
    ascii_json = json.dumps(secret)[1:-1]
    in_json = (ascii_json, ascii_json.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    html_safe = "".join(_HTML_SAFE.get(letter, letter) for letter in ascii_json)
    in_url = quote(secret, safe="", errors="surrogateescape")
    small = _ESCAPED.sub(lambda found: found[0].lower(), in_url)
    written = (secret, *in_json, html_safe, in_url, small)
    return frozenset(form.encode("utf-8", "surrogateescape") for form in written)


def _overlap(data: bytes, form: bytes) -> int:
    """The length of the longest end of `data` that begins `form`."""
    start = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while start >= 0:
        if form.startswith(data[start:]):
            return len(data) - start
        start = data.find(form[:1], start + 1)
    return 0
