"""What the inspector shows beside a call, made of its record: the verdict, then a sentence for each thing."""

from collections.abc import Iterator, Mapping
from typing import Any

from rewrite.records.line import dollars, tokens

BETWEEN = "\n· "
"""Between sentences: where an inspector shows a line break as a space, the mark still parts them."""

VERDICT = 18
"""Characters in which a comment has said the verdict, how many attempts it took, and the tokens."""


def comment(record: Mapping[str, Any]) -> str:
    return BETWEEN.join([_verdict(record), *_sentences(record)])


def _verdict(record: Mapping[str, Any]) -> str:
    attempts = len(record["attempts"])
    verdict = f"{record['verdict']} x{attempts}" if attempts > 1 else str(record["verdict"])
    used = tokens(record)
    said = f"{verdict} {used}".rstrip()
    return said if len(said) <= VERDICT else f"{verdict} >{used.partition('>')[2]}"


def _sentences(record: Mapping[str, Any]) -> Iterator[str]:
    for label, why in record.get("skipped", {}).items():
        yield f"{label} cannot be asked: {why}"
    yield from record.get("hooks_failed", ())
    for one in record["attempts"]:
        where = f" at {one['target']}" if "target" in one else ""
        asked = f"attempt {one['attempt']}{where} with {one['credential']}"
        yield f"{asked}: {one['outcome']} after {one['ended']:.2f} s"
        if reason := one.get("reason"):
            yield reason
    if record["detail"]:
        yield f"{record['end']}: {record['detail']}"
    elif record["end"] != "completed":
        yield record["end"]
    yield from _counted(record)
    yield from _lost(record)


def _counted(record: Mapping[str, Any]) -> Iterator[str]:
    if record["first_token"] is not None:
        yield f"first token after {record['first_token']:.2f} s"
    if (cost := record.get("cost")) is not None:
        yield f"{dollars(cost)}, by {_SOURCES.get(record['cost_source'], record['cost_source'])}"
    if record["usage_estimated"]:
        yield "the output token count of the closing frame is an estimate"


_SOURCES = {"provider": "the provider", "prices": "list prices", "own": "your prices"}
"""By `CallEntry.cost_source`."""


def _lost(record: Mapping[str, Any]) -> Iterator[str]:
    losses, dropped = record.get("losses", ()), record.get("headers_dropped", ())
    if losses or dropped:
        label = record.get("target", "").partition(" ")[0] or f"{record['provider']}/{record['model']}"
        yield from (f"not sent to {label}: {loss}" for loss in losses)
        if dropped:
            yield f"headers not sent to {label}: {', '.join(dropped)}"
