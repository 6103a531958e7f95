"""Plain data as YAML for a reader: texts as blocks, what is long shortened.

It is written for eyes and for the highlighting of mitmproxy. It is YAML that parsers take, too. Lines of a
text that are too long for a page are broken at blanks, since mitmweb does not.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

LONGEST_TEXT = 20_000
"""Characters of one text that are shown."""

LONGEST = 400_000
"""Characters of all that is shown, about."""

_SHORTENED = "# ... and more: it is too long to be shown here; the views JSON and Raw have all of it"
_WIDTH = 100
"""Characters of a text that stands in the line of its name."""
_PLAIN = re.compile(
    r"(?:[A-Za-z_$/(]|[0-9](?=[^ ]* ))[^\x00-\x1f\x7f-\x9f:#\"'{}\[\]&*!|>%@`\ud800-\udfff]*(?<! )"
)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"})
"""What is no text in YAML."""
_BLOCK = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""What cannot stand in a block."""
_BREAKS = re.compile("\r\n|[\r\x85\u2028\u2029]")


def yaml_text(value: object, longest: int = LONGEST) -> str:
    """`value` as text of about `longest` characters at most: mappings, sequences, texts, numbers, None."""
    lines, left = [], longest
    for each in _lines(value, ""):
        left -= len(each) + 1
        if left < 0:
            lines.append(_SHORTENED)
            break
        lines.append(each)
    return "\n".join(lines) + "\n"


def _lines(value: object, indent: str) -> Iterator[str]:
    """Those of a value that has lines of its own."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _named(f"{indent}{_key(str(key))}:", each, indent)
    elif _is_list(value) and value:
        for each in value:  # type: ignore[attr-defined]  # just seen
            yield from _item(each, indent)
    else:
        yield f"{indent}{_scalar(value)}"


def _named(name: str, value: object, indent: str) -> Iterator[str]:
    """What stands after `name`, in its line or in lines of its own below it."""
    if isinstance(value, str) and (len(value) > _WIDTH or "\n" in value):
        yield from _block(name, value, indent + "  ")
    elif value and (isinstance(value, Mapping) or _is_list(value)):
        yield name
        yield from _lines(value, indent + "  ")
    else:
        yield f"{name} {_scalar(value)}"


def _item(value: object, indent: str) -> Iterator[str]:
    """One of a list: the first line of a mapping stands beside the dash."""
    if isinstance(value, Mapping) and value:
        inner = _lines(value, indent + "  ")
        yield f"{indent}- {next(inner)[len(indent) + 2 :]}"
        yield from inner
    else:
        yield from _named(f"{indent}-", value, indent)


def _block(name: str, text: str, indent: str) -> Iterator[str]:
    text = shortened(text)
    if _BLOCK.search(text) or not text.strip():
        yield f"{name} {_quoted(text)}"
        return
    text = _BREAKS.sub("\n", text).rstrip("\n")
    hint = "2" if text[:1] in (" ", "\n", "\t") else ""
    yield f"{name} |{hint}-"
    for line in text.split("\n"):
        yield from (f"{indent}{part}" if part else "" for part in _broken(line))


def _broken(line: str) -> Iterator[str]:
    """`line` in pieces that fit on a page, as far as it has blanks."""
    at = 0
    while len(line) - at > _WIDTH:
        blank = line.rfind(" ", at + 1, at + _WIDTH + 1)
        end = blank if blank > at else line.find(" ", at + _WIDTH)
        if end < 0:
            break
        yield line[at:end]
        at = end + 1
    yield line[at:]


def _scalar(value: object) -> str:
    if isinstance(value, str):
        short = shortened(value)
        is_plain = _PLAIN.fullmatch(short) and short.lower() not in _WORDS
        return short if is_plain else _quoted(short)
    if isinstance(value, Mapping):
        return "{}"
    if _is_list(value):
        return "[]"
    return json.dumps(value) if isinstance(value, bool | int | float | None) else _quoted(str(value))


def _key(key: str) -> str:
    key = shortened(key, _WIDTH * 3)
    return key if _PLAIN.fullmatch(key) and key.lower() not in _WORDS else _quoted(key)


def _quoted(text: str) -> str:
    return _BLOCK.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """At most `longest` characters of `text`, and how many are left out."""
    return (
        text if len(text) <= longest else f"{text[:longest]}\n[... {len(text) - longest:,} characters more]"
    )
