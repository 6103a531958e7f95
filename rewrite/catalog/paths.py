"""Paths as a server may read them, which is often more leniently than they are written (RFC 3986, section 6).

Which credential a path gets is decided on what it can mean: in any case, decoded, without dot segments. One
that can be read in two ways is not in normal form.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import unquote

_DEEPEST = 4
"""How often an encoding of an encoding is undone; deeper ones are not in normal form anyhow."""

_AMBIGUOUS = re.compile(r"[\\;]|//|/\.{1,2}(?:/|$)")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})?")

# Bytes that an encoding may stand for: no letter that needs none, none that a server may take for a separator
# once it is decoded, no control, and of UTF-8 none that begins a longer form of ASCII.
_ENCODABLE = (
    frozenset(b" !\"$&'()*+,:<=>@[]^`{|}") | frozenset(range(0x80, 0xC0)) | frozenset(range(0xC2, 0xF5))
)


def is_normal(path: str) -> bool:
    """Whether `path` can be read in one way only; letters in any case are the same path here."""
    encoded = (int(found[1] or "0", 16) for found in _ENCODED.finditer(path))
    return not _AMBIGUOUS.search(path) and all(byte in _ENCODABLE for byte in encoded)


def normalised(path: str) -> str:
    """`path` in lower case, decoded, with single slashes, without dot segments and a slash at its end."""
    for _ in range(_DEEPEST):
        path = unquote(path)
    kept: list[str] = []
    for segment in path.replace("\\", "/").lower().split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def fits(path: str, globs: Iterable[str], prefix: str = "") -> bool:
    """Whether `path` is one of `globs` (fnmatchcase), however it is written; `prefix`: that of a base URL,
    which may stand before it."""
    plain = normalised(path)
    forms = {plain, plain.removeprefix(normalised(prefix))} if prefix else {plain}
    return any(fnmatchcase(form, glob.lower()) for form in forms for glob in globs)
