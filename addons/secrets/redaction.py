"""What may be written down: keys are blacked out in bytes on their way, and redacted in text for people.

Text for people is lines, without control characters and not too long: a model's name or a provider's message
may hold what a terminal obeys, or a line that looks like ours.
"""

import json
import logging
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from addons.secrets.printable import escaped
from protocols.model.errors import InternalError
from protocols.model.http import Head

SHORTEST_SECRET = 16
"""Characters. Shorter ones ("EMPTY", "ollama") are placeholders, and words of answers and tool arguments."""

LONGEST_MEMORY = 200
"""Keys of clients. All are one pattern, and where one is found after a new one came, it is compiled again:
some 30 ms for so many."""

FEW = 64
"""Forms that are searched for one by one: some 0.1 us each in the record of a call. To look up its pieces
takes 7 us, however many forms there are."""

LONGEST_LINE = 2048
"""Characters of a text in a line."""

LONGEST_NAME = 200
"""Characters of a name: of a model, a target that has one in it, or a user."""

REDACTED = "[redacted]"
LOOKS_LIKE_A_KEY = re.compile(
    r"\bsk-[\w-]{8,}|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w.-]+|(?i:bearer )\S+"
    r"|(?i:(?<=[?&]key=)|(?<=[?&]api[-_]key=)|(?<=[?&]access_token=))[^&\s]+"
)
_TOKEN = re.compile(r"eyJ[\w-]*+(\.[\w.-])?")
"""What begins like a token of JSON, and whether a point follows without which it is none."""

_MARKS = ("sk-", "aiza", "eyj", "bearer ", "key=", "access_token=")
"""What has none of these, in small letters, has nothing in it that looks like a key."""

_PIECE = 8
"""Characters of a piece that is looked up."""

_STRIDE = SHORTEST_SECRET - _PIECE + 1
"""Characters from one piece of a text to the next: in so many that belong to a secret, one begins."""

_RANDOM = re.compile(r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,}|[A-Za-z]{20,}")
"""What no word looks like: of letters and digits, or longer than any word of a name."""


_NAMES = frozenset({"model", "target", "user"})
_QUOTED = re.compile(r"""(?<!\w)(?:bytearray\()?b?['"].*""", re.DOTALL)
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

    Most texts hold no secret, and nothing that looks like one. That is seen at once; the expressions that say
    where one stands are for the others.
    """

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, frozenset[bytes]] = OrderedDict()
        self._kept: dict[str, frozenset[bytes]] = {}
        self._known: Known | None = None
        self._anywhere: Known | None = None
        self.values: tuple[str, ...] = ()
        """All of them: another tuple with each change, so that another thread may look."""

    def keep(self, secrets: Iterable[SecretStr], former: Iterable[SecretStr] = ()) -> None:
        """Those of a pool: however many keys clients send, these are not forgotten. Those in whose place they
        are may be, in time."""
        values = [each.get_secret_value() for each in secrets if is_searched_for(each)]
        for each in former:
            if self._kept.pop(each.get_secret_value(), None):
                self._note(each.get_secret_value())
        self._kept |= {value: forms(value) for value in values}
        self._changed()

    def learn(self, secrets: Iterable[SecretStr]) -> None:
        """Those that are long enough; of what clients sent, `key_shaped` ones are to be given."""
        for secret in secrets:
            if is_searched_for(secret):
                self._note(secret.get_secret_value())

    def _note(self, value: str) -> None:
        is_new = value not in self._secrets
        if is_new:
            self._secrets[value] = forms(value)
        self._secrets.move_to_end(value)
        if len(self._secrets) > LONGEST_MEMORY:
            self._secrets.popitem(last=False)
        if is_new:
            self._changed()

    def _changed(self) -> None:
        self._known = self._anywhere = None
        self.values = (*self._kept, *self._secrets)

    def redact(self, text: str) -> str:
        """`text` without any secret, in any form that `forms` knows, fit to be written as UTF-8."""
        known = self._known_ones()
        if known.may_be_in(text):
            text = known.pattern.sub(REDACTED, text)
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        return without_keys(text) if may_look_like_a_key(text) else text

    def holds_secret(self, text: str) -> bool:
        """Whether a secret stands in `text`, in any form of `all_forms`; what merely looks like one does not
        count."""
        if self._anywhere is None:
            self._anywhere = Known(map(all_forms, self.values))
        known = self._anywhere
        return known.may_be_in(text) and known.pattern.search(text) is not None

    def _known_ones(self) -> "Known":
        if self._known is None:
            self._known = Known([*self._kept.values(), *self._secrets.values()])
        return self._known

    def line(self, text: str, longest: int = LONGEST_LINE) -> str:
        """`text` as one line without any secret."""
        return line(self.redact(text), longest)

    def lines[T](self, value: T) -> T:
        """Plain data without any secret, with texts as lines: those of names short ones. The same object
        where that is so."""
        if self._is_written_as_it_is(value):
            return value
        return self._walked(value, LONGEST_LINE)  # type: ignore[return-value]  # same shape, other strings

    def _is_written_as_it_is(self, value: object) -> bool:
        """Whether nothing is to be taken out of, escaped in or cut from any text of `value`.

        As JSON it is one text: where no backslash is in that, each string stands in it as it is.
        """
        try:
            text = msgspec.json.encode(value).decode()
        except (TypeError, ValueError, OverflowError, RecursionError):  # what others put into a flow
            return False
        if "\\" in text or not text.isprintable() or may_look_like_a_key(text):
            return False
        return _has_short_texts(text) and not self._known_ones().may_be_in(text)

    def _walked(self, value: object, longest: int) -> object:
        """`longest`: characters of a text."""
        match value:
            case str():
                return self.line(value, longest)
            case Mapping():
                return {
                    line(str(key), LONGEST_NAME): self._walked(each, _longest(key))
                    for key, each in value.items()
                }
            case list() | tuple():
                return [self._walked(each, longest) for each in value]
            case _:
                return value


class Known:
    """The forms of all secrets. Few are searched for one by one.

    Of many, a search looks up what stands at every `_STRIDE`th place of a text: the end of a secret, which is
    long enough, covers one of these pieces, wherever it stands.
    """

    def __init__(self, secrets: Iterable[frozenset[bytes]]) -> None:
        found = {form.decode("utf-8", "surrogateescape") for each in secrets for form in each}
        self.forms = sorted(found, key=len, reverse=True)
        """The longest first."""
        many = len(self.forms) > FEW and len(self.forms[-1]) >= SHORTEST_SECRET
        self._one_by_one = [] if many else self.forms
        self._pieces = frozenset(piece for form in self.forms for piece in _pieces(form)) if many else None

    def may_be_in(self, text: str) -> bool:
        """Whether one of them may stand in `text`; False is certain."""
        for form in self._one_by_one:
            if form in text:
                return True
        if self._pieces is None:
            return False
        return not self._pieces.isdisjoint([text[at : at + _PIECE] for at in range(0, len(text), _STRIDE)])

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches any of them, the longest first; of none, nothing."""
        return re.compile("|".join(map(re.escape, self.forms)) or r"(?!)")


def _has_short_texts(text: str) -> bool:
    """Whether no more than LONGEST_NAME characters stand between two quotes."""
    start = 0
    while len(text) - start > LONGEST_NAME:
        start = text.rfind('"', start, start + LONGEST_NAME + 1) + 1
        if not start:
            return False
    return True


def _pieces(form: str) -> list[str]:
    """The pieces at the end of it, one for each place where it may stand in a text."""
    end = form[-SHORTEST_SECRET:]
    return [end[at : at + _PIECE] for at in range(_STRIDE)]


def may_look_like_a_key(text: str) -> bool:
    """Whether to search it for what looks like one; False is certain."""
    if not text.isascii():  # where letters of other scripts count as those of a mark, in small or in capitals
        return True
    text = text.lower()
    for mark in _MARKS:  # noqa: SIM110  # any() costs a generator
        if mark in text:
            return True
    return False


def without_keys(text: str) -> str:
    """As `LOOKS_LIKE_A_KEY.sub(REDACTED, text)`, which would read what begins like a token again and again to
    its end: here it is no such beginning where no token follows."""
    plain = _TOKEN.sub(_unless_token, text)
    left, at = [], 0
    for found in LOOKS_LIKE_A_KEY.finditer(plain):
        left += [text[at : found.start()], REDACTED]
        at = found.end()
    return "".join([*left, text[at:]])


def _unless_token(found: re.Match[str]) -> str:
    return found[0] if found[1] else found[0].replace("eyJ", "eyj")


class Blackout:
    """Replaces secrets in a stream of bytes by stars of the same length, in every form that `forms` knows.

    A secret may be cut between two pieces, so a piece's end that begins one is kept until the next.
    """

    def __init__(self, secrets: Iterable[SecretStr], written: "Forms | None" = None) -> None:
        """`written`: in which forms they are searched for, if not in those of `forms`."""
        self.forms = _longest_first(
            tuple([secret.get_secret_value() for secret in secrets]), written or forms
        )
        """What is searched for, the longest first."""
        self._longest = len(self.forms[0]) if self.forms else 0
        self._kept = b""

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go out now."""
        data = self.whole(self._kept + data)
        kept = max((_overlap(data, form) for form in self.forms), default=0)
        self._kept = data[len(data) - kept :]
        return data[: len(data) - kept]

    def remainder(self) -> bytes:
        """What was kept: the stream has ended."""
        kept, self._kept = self._kept, b""
        return kept

    def finds(self, data: bytes) -> bool:
        """Whether a secret stands in the stream that `data` continues; for one that is only looked at."""
        seen = self._kept + data
        self._kept = seen[max(0, len(seen) - self._longest) :]
        return any(form in seen for form in self.forms)

    def whole(self, data: bytes) -> bytes:
        """`data` without regard to pieces before or after it. Most often one search for each secret."""
        for form in self.forms:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def head(self, head: Head) -> Head:
        return Head(head.status, self.headers(head.headers), self.text(head.reason))

    def headers(self, pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Names too, in which HTTP/2 knows no capitals."""
        everything = "\n".join([part for pair in pairs for part in pair])
        data = everything.encode("utf-8", "surrogateescape").lower()
        for form in self.forms:
            if form.lower() in data:
                return tuple([(self._name(name), self.text(value)) for name, value in pairs])
        return tuple(pairs)

    def text(self, value: str) -> str:
        return self.whole(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _name(self, name: str) -> str:
        data = name.encode("utf-8", "surrogateescape")
        for form in self.forms:
            data = re.sub(re.escape(form), b"*" * len(form), data, flags=re.IGNORECASE)
        return data.decode("utf-8", "surrogateescape")


type Forms = Callable[[str], frozenset[bytes]]
"""How a secret may be written."""


@lru_cache(maxsize=256)
def _longest_first(secrets: tuple[str, ...], written: Forms) -> tuple[bytes, ...]:
    """All forms of those that are searched for."""
    found = {form for each in secrets if len(each) >= SHORTEST_SECRET for form in written(each)}
    return tuple(sorted(found, key=len, reverse=True))


@lru_cache(maxsize=256)
def forms(secret: str) -> frozenset[bytes]:
    """How a secret is written where it is echoed: as it is, in JSON, and in a URL or a form. Of one that has
    several parts between colons, such as a pair of keys, each part is a secret too if it is long enough."""
    return frozenset(form for each in _with_parts(secret) for form in _forms(each))


def _with_parts(secret: str) -> tuple[str, ...]:
    return secret, *(part for part in secret.split(":") if len(part) >= SHORTEST_SECRET)


def _forms(secret: str) -> frozenset[bytes]:
    ascii_json = json.dumps(secret)[1:-1]
    in_json = (ascii_json, ascii_json.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    html_safe = "".join(_HTML_SAFE.get(letter, letter) for letter in ascii_json)
    in_url = quote(secret, safe="", errors="surrogateescape")
    small = _ESCAPED.sub(lambda found: found[0].lower(), in_url)
    written = (secret, *in_json, html_safe, in_url, small)
    return frozenset(form.encode("utf-8", "surrogateescape") for form in written)


@lru_cache(maxsize=1024)
def all_forms(secret: str) -> frozenset[bytes]:
    """Those of `forms`, in a string of JSON that is JSON, and in base64, whatever stands around it: as in
    Basic authentication."""
    twice = (json.dumps(form.decode("utf-8", "surrogateescape"))[1:-1] for form in forms(secret))
    data = [each.encode("utf-8", "surrogateescape") for each in _with_parts(secret)]
    in_base64 = {code for each in data for before in range(3) for code in _base64(each, before)}
    return forms(secret) | {form.encode("utf-8", "surrogateescape") for form in twice} | in_base64


def _base64(data: bytes, before: int) -> Iterator[bytes]:
    """What base64 of `data` after so many bytes always holds, in both alphabets."""
    whole = b64encode(bytes(before) + data)
    others, padding = (0, 2, 3)[before], (0, 3, 2)[(before + len(data)) % 3]
    inner = whole[others : len(whole) - padding]
    yield inner
    yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def _overlap(data: bytes, form: bytes) -> int:
    """The length of the longest end of `data` that begins `form`."""
    start = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while start >= 0:
        if form.startswith(data[start:]):
            return len(data) - start
        start = data.find(form[:1], start + 1)
    return 0


def _longest(key: object) -> int:
    """Characters of a text in a record by its name there."""
    return LONGEST_NAME if key in _NAMES else LONGEST_LINE


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of `text`, and how many are missing."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more)"


def unquoted(message: str) -> str:
    """A message about bytes that could not be read, without these: a key may be among them."""
    return _QUOTED.sub("(not shown)", message)


def line(text: str, longest: int = LONGEST_LINE) -> str:
    """`text` as one line: at most `longest` characters of it, and nothing that a terminal obeys."""
    if len(text) <= longest and text.isprintable():
        return text
    return escaped(shortened(text, longest))


class Lines(logging.Filter):
    """Makes a line of each record of a logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = line(record.getMessage()), None
        return True


def fault(error: BaseException) -> str:
    """The type and place of what was raised, and the text of an internal error; any other text may quote
    what was read."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "unknown"
    text = f": {error}" if isinstance(error, InternalError) else ""
    return f"{type(error).__name__} in {where}{text}"
