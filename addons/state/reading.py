"""What a shared store holds, read page by page: the calls of the proxy go on meanwhile."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from addons.store.connection import Connection
from addons.store.line import Answer
from addons.store.script import Script, script
from rewrite.credentials.counters import Total
from rewrite.credentials.entries import Entries
from rewrite.credentials.packed import is_number, is_time, unpacked
from rewrite.credentials.stored import Subject, used

_PAGE, _PAGE_OF_COUNTS = script("page"), script("counts")
_FACTS, _COUNTS = 500, 100
"""Facts, and hashes of counts, on a page."""


async def facts(connection: Connection, index: str, most: int) -> list[Entries]:
    """What an index names, in parts, the latest first. What is none of ours, or of a later version, is passed
    over. Raises StoreError."""
    found: list[Entries] = []
    async for page in _pages(connection, _PAGE, index, "e:", _FACTS):
        read = (unpacked(name, text) for name, text in page if isinstance(text, bytes))
        found.append(dict(filter(None, read)))
        if len(found) * _FACTS >= most:
            break
    return found


async def totals(connection: Connection) -> list[Total]:
    """What each proxy has counted. Raises StoreError."""
    found: list[Total] = []
    async for page in _pages(connection, _PAGE_OF_COUNTS, "counted", "u:", _COUNTS):
        for name, fields in page:
            if isinstance(fields, list):
                found += _counts(name, fields)
    return found


async def _pages(
    connection: Connection, asked: Script, index: str, begin: str, size: int
) -> AsyncIterator[list[tuple[bytes, Answer]]]:
    """Names, each with what is kept under it."""
    prefix, first = connection.prefix, 0
    while True:
        answer = await connection.call(
            asked, [f"{prefix}{index}"], [f"{prefix}{begin}", first, first + size - 1]
        )
        listed = answer if isinstance(answer, list) else []
        named = zip(listed[::2], listed[1::2], strict=False)
        yield [(name, kept) for name, kept in named if isinstance(name, bytes)]
        if len(listed) < 2 * size:
            return
        first += size


def _counts(name: bytes, fields: list[Answer]) -> Iterator[Total]:
    of = _counted(name)
    if of is None:
        return
    subject, window, scope = of
    for field, amount in zip(fields[::2], fields[1::2], strict=False):
        if isinstance(field, bytes) and isinstance(amount, bytes):
            until, _, proxy = field.decode("utf-8", "replace").partition("|")
            with suppress(ValueError):
                last, total = float(until), float(amount)
                if is_time(last) and is_number(total):
                    yield used(subject, last, window, scope), proxy, total


def _counted(name: bytes) -> tuple[Subject, str, str] | None:
    try:
        parts = json.loads(name)
    except ValueError:
        return None
    match parts:
        case [str(provider), str(credential), str(mark), str(window), str(scope)]:
            return Subject(provider, credential, mark), window, scope
    return None
