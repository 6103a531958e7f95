"""A row of the fault table, and what providers do in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.e2e.wires import CHAT, CUT_TEXT, MESSAGES, TEXT, Wire
from tests.vendor import Answer, Fin, Framing, Hang, Reply, Send, SendShort, Step, streamed, whole
from tests.vendor.script import Headers

type Answers = Callable[[Wire], Sequence[Answer]]

CLIENT = "client"
"""The client's own key, in `Row.attempts`; the others are those of the pool, by their names."""

UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. What is not said is the good case: one answer that ends with a stop.

    `answers`: what the provider does, one request after another, before it is in good health; `attempts`:
    the keys that these requests carry, in order. `calls`: how often the client asks, `asked`: how many
    calls the proxy sees of it, if its SDK asks again. `mode`: the proxy that it goes through.
    `text`, `finish`, `tool`, `status` (of an error) and `says` (a part of its message, UNTOUCHED for the
    provider's own body) are what the last call shows; `end` is the word of the record. `hangs`: the first
    request has to be closed by the proxy.
    """

    name: str
    answers: Answers
    attempts: str = "one"
    mode: str = "auto"
    pool: tuple[str, ...] = ("one", "two")
    request: dict[str, Any] = field(default_factory=lambda: {"stream": True})
    client: dict[str, Any] = field(default_factory=dict)
    calls: int = 1
    asked: int = 0
    tls: bool = False
    text: str = TEXT
    finish: tuple[str, ...] = ("stop",)
    tool: str | None = None
    status: int | None = None
    says: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "completed"
    hangs: bool = False
    wires: tuple[Wire, ...] = (CHAT, MESSAGES)


REFUSED: dict[str, Any] = {"text": "", "finish": (), "end": "rejected"}
"""The client gets no answer."""

ENDED_WITH_LENGTH: dict[str, Any] = {"text": CUT_TEXT, "finish": ("length",), "end": "truncated"}
"""The client gets what there was, and an honest end."""

ONCE = {"max_retries": 0}
WHOLE: dict[str, Any] = {"stream": False}
LATER = (("retry-after", "300"),)
SOON = (("retry-after", "30"),)
NOW = (("retry-after", "1"),)


def reply(*answers: Callable[[Wire], Answer]) -> Answers:
    return lambda wire: [make(wire) for make in answers]


def good(wire: Wire) -> Reply:
    return streamed(wire.stream())


def rejected(status: int, kind: str, headers: Headers = ()) -> Callable[[Wire], Reply]:
    return lambda wire: wire.error(status, kind, headers)


def hang(_: Wire) -> Answer:
    return Hang()


def opened(*steps: Step) -> Callable[[Wire], Reply]:
    """Headers of a stream, then these steps."""
    return lambda _: streamed([], *steps)


def started(*steps: Step) -> Callable[[Wire], Reply]:
    """Everything that comes before the first token, then these steps."""
    return lambda wire: streamed(wire.start(), *steps)


def in_band(kind: str) -> Callable[[Wire], Reply]:
    return lambda wire: streamed([*wire.start(), wire.error_event(kind)])


def cut(*steps: Step) -> Callable[[Wire], Reply]:
    """Two thirds of the events, then these steps."""
    return lambda wire: streamed(wire.cut(), *steps)


def cut_in_chunk(wire: Wire) -> Reply:
    *events, last = wire.cut()
    return streamed(events, SendShort(last, missing=9), Fin())


def cut_tool(*steps: Step) -> Callable[[Wire], Reply]:
    return lambda wire: streamed(wire.cut_tool(), *steps)


def cut_tool_after_text(*steps: Step) -> Callable[[Wire], Reply]:
    return lambda wire: streamed(wire.cut_tool_after_text(), *steps)


def encoded(encoding: str, make: Callable[[Wire], Reply], **more: Any) -> Callable[[Wire], Reply]:
    return lambda wire: replace(make(wire), encoding=encoding, **more)


def body(wire: Wire) -> Reply:
    return whole(wire.answer())


def half_body(*steps: Step) -> Callable[[Wire], Reply]:
    """Half of a JSON answer; with no steps it is all that was announced."""

    def make(wire: Wire) -> Reply:
        data = wire.answer()
        half = (Send(data[: len(data) // 2]), *steps)
        length = len(data) if steps else None
        return Reply(200, (("content-type", "application/json"),), half, Framing.LENGTH, length=length)

    return make


def page(_: Wire) -> Reply:
    html = b"<!doctype html><title>Just a moment</title>"
    return Reply(200, (("content-type", "text/html"),), (Send(html),), Framing.LENGTH)
