"""Which names say that a value is a secret, or a signature that only its maker can read.

Counts of tokens are no secrets: `max_tokens`, `input_tokens`, `completion_tokens_details`.
"""

import re
from enum import Enum
from functools import lru_cache


class Kind(Enum):
    """What the name of a value says of it."""

    PLAIN = "plain"
    """Nothing."""
    SECRET = "secret"
    """Whatever it is, it is nobody's to read."""
    TOKEN = "token"
    """A text is a secret; a number counts something."""
    MAYBE = "maybe"
    """A long text may be a secret; a short one is a word, as in the log probabilities of an answer."""
    SIGNATURE = "signature"
    """Opaque reasoning, or what signs it."""
    DATA = "data"
    """Opaque reasoning in some objects, an image or a sound in others."""


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET = frozenset(
    "auth authorization bearer cookie cookies jwt apikey apikeys passphrase passwd password "
    "passwords pwd secret secrets".split()
)
_KEYS = frozenset(
    "access account api auth encryption license master private secret service signing ssh "
    "subscription".split()
)
"""Words before "key" with which that is a secret; `prompt_cache_key` is none."""
_NO_TOKEN = frozenset("bos eos first last mask max min next pad page per special stop sync unk".split())
"""Words before "token" with which that is none."""
_ABOUT = frozenset(
    "at count details endpoint enabled error expires expiry id in length name policy required type "
    "uri url".split()
)
"""Last words of what is about a secret and not one itself."""
MARKS = (
    "auth",
    "bearer",
    "cookie",
    "credential",
    "encrypted",
    "jwt",
    "key",
    "passphrase",
    "passw",
    "pwd",
    "redacted",
    "secret",
    "signature",
    "token",
)
"""In small letters: each name that is not plain has one of these in it, or is `data`."""
_OPAQUE = frozenset({("encrypted", "content"), ("redacted", "content"), ("encrypted", "reasoning")})

_TELLING = re.compile(
    r"auth(?!or\b)|cookie|secret|credential|jwt|signature|passw|(?:^|-)key|token(?!s)", re.IGNORECASE
)
"""Of headers. What is hidden there without need costs a reader less than in a body."""
_OF_QUERY = frozenset({"key", "sig"})


@lru_cache(maxsize=4096)
def kind(name: str) -> Kind:
    """Of a field of JSON, in snake or camel case."""
    words = tuple([word.lower() for word in _WORD.findall(name[:200])])
    if not words or words[-1] in _ABOUT:
        return Kind.PLAIN
    if words[-1] == "signature" or words[-2:] in _OPAQUE:
        return Kind.SIGNATURE
    if words[-1] == "token":
        return _token(words[:-1])
    if words[-1] == "credentials":
        return Kind.MAYBE
    if not _SECRET.isdisjoint(words) or (words[-1] in ("key", "keys") and not _KEYS.isdisjoint(words[-2:-1])):
        return Kind.SECRET
    return Kind.DATA if words == ("data",) else Kind.PLAIN


def _token(before: tuple[str, ...]) -> Kind:
    if not before:
        return Kind.MAYBE
    return Kind.PLAIN if before[-1] in _NO_TOKEN else Kind.TOKEN


def is_secret_header(name: str) -> bool:
    """Whether the value of a header may be somebody's proof of who they are."""
    return _TELLING.search(name) is not None


def is_secret_parameter(name: str) -> bool:
    """Whether the value of a query's or a form's parameter may be that."""
    return name.lower() in _OF_QUERY or is_secret_header(name.replace("_", "-"))
