"""Searches texts and streams of bytes for secrets: those that are known, however they are written, and what
looks like one.

There may be hundreds of them, each in a dozen forms, so that no work is done for each where none is found.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from pydantic import SecretStr

from addons.secrets.fields import Fields, Show
from addons.secrets.names import is_secret_parameter
from addons.secrets.redaction import (
    REDACTED,
    Known,
    all_forms,
    is_searched_for,
    may_look_like_a_key,
    without_keys,
)

type Secrets = Callable[[], tuple[str, ...]]
"""Those that are known by now; the same object as long as there are no others."""

_USER = re.compile(r"(://[^\s:@/?#\"'<>\\]{0,128}:)[^\s@/?#\"'<>\\]{1,256}@")
"""The password of a URL's user."""
_PARAMETER = re.compile(r"((?:(?<=[?&\"])|^)([\w.~%-]{1,64})=)[^&\s\"'<>#\\]+")
_LONGEST_RUN = 4096
"""Characters at an end that what looks like a key may begin in."""
_ENDS_RUN = " \t\r\n\"'<>"


class Search:
    """Of one call: those that everybody's `secrets` are by now, and those that its client sent."""

    def __init__(self, secrets: Secrets, own: Iterable[SecretStr]) -> None:
        self._secrets = secrets
        known = frozenset(secrets())
        found = dict.fromkeys(each.get_secret_value() for each in own if is_searched_for(each))
        self._own = tuple([each for each in found if each not in known])
        self._searched: tuple[str, ...] | None = None
        self._known: list[Known] = []
        self._longest = 0
        self._in_lines = True

    def without_secrets(self, text: str, instead: Callable[[str], str]) -> str:
        """`instead` gives what stands for one. In bytes as Latin-1 they are found too."""
        self._look()
        for known in self._known:
            if known.may_be_in(text):
                for form in known.forms:
                    if form in text:
                        text = text.replace(form, instead(form))
        return text

    def begun(self, text: str) -> int:
        """Where the end of `text` begins in which the beginning of one may stand."""
        self._look()
        start = max(0, len(text) - self._longest + 1)
        return max(start, text.rfind("\n") + 1) if self._in_lines else start

    def _look(self) -> None:
        """A login may have another token by now."""
        secrets = self._secrets()
        if secrets is not self._searched:
            self._searched = secrets
            self._known = [_known(each) for each in (secrets, self._own) if each]
            forms = [form for known in self._known for form in known.forms]
            self._longest = max(map(len, forms), default=1)
            self._in_lines = not any("\n" in form for form in forms)


@lru_cache(maxsize=64)
def _known(secrets: tuple[str, ...]) -> Known:
    """In texts, and in bytes as Latin-1."""
    forms = [all_forms(each) for each in secrets]
    return Known([*forms, *(frozenset(map(_as_latin, each)) for each in forms)])


def _as_latin(form: bytes) -> bytes:
    return form if form.isascii() else form.decode("latin-1").encode()


def without_lookalikes(text: str) -> str:
    """`text` without what looks like a key, parameters that are called like one, and passwords in URLs."""
    if may_look_like_a_key(text):
        text = without_keys(text)
    if "@" in text:
        text = _USER.sub(rf"\1{REDACTED}@", text)
    return _PARAMETER.sub(_without_value, text) if "=" in text else text


def _without_value(found: re.Match[str]) -> str:
    return found[1] + REDACTED if is_secret_parameter(found[2]) else found[0]


class Stream:
    """Takes secrets out of bytes that come in pieces. What may be the beginning of one is kept: if none has
    an end of a line in it, that is no more than what follows the last."""

    def __init__(self, show: Show, search: Search) -> None:
        """`show`: what stands for the values of fields that are called like secrets."""
        self._search, self._fields = search, Fields(show)
        self._kept = self._run = ""

    def feed(self, data: bytes) -> bytes:
        """What may be written by now."""
        text = self._searched(self._kept + data.decode("latin-1"))
        begun = self._search.begun(text)
        self._kept = text[begun:]
        text = self._run + self._fields.feed(text[:begun].encode("latin-1")).decode("latin-1")
        run = _run(text)
        self._run = text[run:]
        return without_lookalikes(text[:run]).encode("latin-1")

    def remainder(self) -> bytes:
        """What was kept: no more comes."""
        last = self._fields.feed(self._kept.encode("latin-1")) + self._fields.remainder()
        text, self._kept, self._run = self._run + last.decode("latin-1"), "", ""
        return without_lookalikes(text).encode("latin-1")

    def _searched(self, text: str) -> str:
        return self._search.without_secrets(text, _stars)


def _stars(form: str) -> str:
    return "*" * len(form)


def _run(text: str) -> int:
    """Where the end begins that more may belong to of what looks like a key."""
    at = max(0, len(text) - _LONGEST_RUN)
    start = max(at, *(text.rfind(end, at) + 1 for end in _ENDS_RUN))
    bearer = start - len("bearer ")
    return bearer if bearer >= 0 and text[bearer:start].lower() == "bearer " else start
