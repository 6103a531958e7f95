"""A call's attempts and its answer, rendered for its trace as plain data for JSON.

What others wrote is a `Body`: whoever writes the trace takes the secrets out of it before it is cut.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from protocols.model.http import Headers
from protocols.model.parts import BlockKind, Finish, StreamError
from protocols.model.progress import Block, Progress
from protocols.model.wirejson import dump, encoded, given, load_object
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Rejected

LARGEST_BODY = 1 << 20
"""Bytes of one body as compact JSON; what is longer is cut."""

DEEPEST = 100
"""Levels of JSON that are looked into."""

HIDDEN = "[redacted]"
_TELLING = re.compile(
    r"auth(?!or\b)|cookie|secret|credential|jwt|signature|(?:^|-)key|token(?!s)", re.IGNORECASE
)
"""Names of headers whose values may be somebody's proof of who they are."""


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes that a client or a provider wrote, or what they come to."""

    data: bytes

    def read(self) -> object:
        """The JSON that they are; else, and where that is nested as no request is, a text."""
        try:
            value = json.loads(self.data, parse_constant=str)
        except (ValueError, RecursionError):
            value = None
        known = value is not None and not _deeper(value, DEEPEST)
        return value if known else self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Asked:
    """How one target is asked."""

    label: str
    """Provider/model."""
    method: str
    """That of the request."""
    url: str
    """Where the request goes."""
    body: bytes | None
    """What it carries. None: the client's own bytes."""


def _deeper(value: object, levels: int) -> bool:
    """Whether `value` has more levels than that."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def cut(value: object) -> object:
    """`value`, or the beginning of its JSON where that is too long, with a note that says so."""
    data = value.encode() if isinstance(value, str) else dump(value)
    if len(data) <= LARGEST_BODY:
        return value
    note = f"the first {LARGEST_BODY} of {len(data)} bytes"
    return {"cut": note, "text": data[:LARGEST_BODY].decode("utf-8", "ignore")}


def rendered_headers(headers: Headers) -> list[list[str]]:
    """Names and values in order, without values that may be a credential."""
    return [[name, HIDDEN if _TELLING.search(name) else value] for name, value in headers]


# -- attempts -------------------------------------------------------------------------------------------


def rendered_attempts(summary: Summary, targets: Sequence[Asked]) -> Iterator[Mapping[str, object]]:
    """Each attempt of a call at one of `targets`. A body stands where it is another than the client's, and
    than that of an attempt before at the same target: that of one that continued an answer always."""
    known: set[int] = set()
    for one in summary.attempts:
        asked = targets[one.target]
        yield {
            "attempt": one.number,
            "target": asked.label,
            "credential": one.credential,
            "request": given(method=asked.method, url=asked.url, body=_body_of(one, asked, known)),
            **_came_of(one, summary.began),
        }


def _body_of(one: Ended, asked: Asked, known: set[int]) -> Body | None:
    """`known`: the targets whose body is rendered already, to which this one is added."""
    if one.instead is not None:
        return Body(dump(one.instead.body))
    again = one.target in known
    known.add(one.target)
    return None if again or asked.body is None else Body(asked.body)


def _came_of(one: Ended, began: float) -> Mapping[str, object]:
    """Seconds are counted from the beginning of the call."""
    return given(
        sent=None if one.sent is None else round(one.sent - began, 3),
        ended=round(one.at - began, 3),
        outcome=one.outcome.label,
        reason=one.reason or None,
        **(_said(one.outcome) if isinstance(one.outcome, Rejected) else {}),
    )


def _said(rejected: Rejected) -> Mapping[str, object]:
    """What the provider said with its no; in the client's protocol where the call was translated."""
    body = rejected.answer.body if rejected.answer else b""
    return given(
        message=rejected.message or None,
        retry_after=rejected.retry_after,
        answer=Body(body) if body else None,
    )


# -- the answer -----------------------------------------------------------------------------------------


def rendered_answer(summary: Summary) -> Mapping[str, object]:
    """What the client got: its head, how it ended, and what it said, put together from its parts."""
    progress, head = summary.progress, summary.head
    return {
        **given(
            status=head.status if head else summary.status,
            headers=rendered_headers(head.headers) if head else None,
        ),
        "end": summary.end,
        "detail": summary.detail,
        "seconds": round(summary.seconds, 3),
        **given(first_token=None if summary.first_token is None else round(summary.first_token, 3)),
        **given(model=progress.head.model or None if progress.head else None),
        **given(usage=given(**asdict(progress.usage)) if progress.usage else None),
        "usage_estimated": summary.estimated,
        "parts": Body(dump(list(_blocks(progress)))),
        "finishes": [_finish(progress.finished[choice]) for choice in sorted(progress.finished)],
        **given(error=_error(progress.error) if progress.error else None),
        **given(body=Body(summary.body) if summary.body else None),
    }


def rendered_parts(progress: Progress) -> Mapping[str, object]:
    """What an answer said, put together from its parts."""
    return given(
        id=progress.head.id or None if progress.head else None,
        model=progress.head.model or None if progress.head else None,
        parts=list(_blocks(progress)),
        finishes=[_finish(progress.finished[choice]) for choice in sorted(progress.finished)],
        usage=given(**asdict(progress.usage)) if progress.usage else None,
        error=_error(progress.error) if progress.error else None,
    )


def _blocks(progress: Progress) -> Iterator[Mapping[str, object]]:
    """`torn`: an upstream that began again left it open."""
    yield from ({**_block(block), "torn": True} for block in progress.torn)
    yield from (_block(progress.blocks[place]) for place in sorted(progress.blocks))


def _block(block: Block) -> Mapping[str, object]:
    start, stop = block.start, block.stop
    said: dict[str, object] = {"choice": start.choice, "kind": start.kind.value}
    if start.kind is BlockKind.TOOL:
        said |= given(id=start.tool_id, name=start.tool_name, namespace=start.namespace or None)
        whole = load_object(encoded(block.text))
        said["input"] = block.text if whole is None else whole
    elif block.text:
        said["text"] = block.text
    sources = [{"url": each.url, "title": each.title} for each in block.annotations]
    said |= given(payload=start.payload, sources=sources or None)
    return said | given(
        signed=True if stop and stop.signature else None, unfinished=True if stop is None else None
    )


def _finish(finish: Finish) -> Mapping[str, object]:
    return {"choice": finish.choice, "reason": finish.reason.value, "native": finish.native} | given(
        detail=finish.detail or None
    )


def _error(error: StreamError) -> Mapping[str, object]:
    return given(type=error.type, message=error.message, code=error.code, status=error.status)
