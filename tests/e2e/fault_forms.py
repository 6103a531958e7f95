"""Answers that are odd but proper, odd on the wire, or not streamed."""

from collections.abc import Callable
from dataclasses import replace

from tests.e2e.fault_row import (
    ENDED_WITH_LENGTH,
    LATER,
    REFUSED,
    UNTOUCHED,
    WHOLE,
    Row,
    body,
    cut,
    encoded,
    good,
    half_body,
    hang,
    page,
    rejected,
    reply,
)
from tests.e2e.wires import CHAT, WORDS, Wire
from tests.vendor import Fin, Framing, Hang, Pace, Reply, Reset, streamed, whole


def altered(change: Callable[[bytes], bytes]) -> Callable[[Wire], Reply]:
    """A good stream whose events are written in another way."""
    return lambda wire: streamed([change(event) for event in wire.stream()])


def crlf(event: bytes) -> bytes:
    return event.replace(b"\n", b"\r\n")


def on_two_lines(event: bytes) -> bytes:
    """JSON may be broken between two members; the data lines are joined again with LF."""
    return event.replace(b',"', b',\ndata: "', 1)


_LONG = "0123456789abcdef" * (1 << 18)
_WIDE = ("Grüße, ", "€ ", "日本語 ", "👩‍🚀 ", "e\u0301 \u2028 ", "done")


def _last_without_blank_line(wire: Wire) -> Reply:
    *events, last = wire.stream()
    return streamed([*events, last.rstrip(b"\n")])


def _second_choice(event: bytes) -> bytes:
    return event.replace(b'"choices":[{"index":0', b'"choices":[{"index":1')


def _two_choices(*, both: bool) -> list[bytes]:
    """Two choices in turns; only the second one finishes, or both do."""
    events = CHAT.stream(done=False)
    pairs = [[event, _second_choice(event)] for event in events[:-1]]
    ends = [events[-1]] if both else []
    return [*(event for pair in pairs for event in pair), *ends, _second_choice(events[-1])]


_BOTH_TEXTS = "".join(word * 2 for word in WORDS)
PROPER = (
    Row("good", reply(good)),
    Row("whole", reply(body), request=WHOLE),
    Row("done-without-finish", reply(lambda w: streamed(w.stream(finish=None))), finish=(), wires=(CHAT,)),
    Row("finish-without-done", reply(lambda wire: streamed(wire.stream(done=False)))),
    Row("finish-then-reset", reply(lambda wire: streamed(wire.stream(done=False), Reset()))),
    Row(
        "finish-without-usage",
        reply(lambda wire: streamed(wire.stream(usage={"completion_tokens": 9})[:-2], Reset())),
        request={"stream": True, "stream_options": {"include_usage": True}},
        wires=(CHAT,),
    ),
    Row("last-without-blank-line", reply(_last_without_blank_line)),
    Row(
        "refusal-without-text",
        reply(lambda wire: streamed(wire.stream((), finish="refusal"))),
        text="",
        finish=("refusal",),
    ),
    Row(
        "one-token-without-text",
        reply(lambda wire: streamed(wire.stream((), finish="length"))),
        text="",
        finish=("length",),
    ),
    Row(
        "two-choices",
        reply(lambda _: streamed([*_two_choices(both=True), b"data: [DONE]\n\n"])),
        request={"stream": True, "n": 2},
        text=_BOTH_TEXTS,
        finish=("stop", "stop"),
        wires=(CHAT,),
    ),
    Row(
        "two-choices-one-unfinished",
        # In one write: what waits in the sender's system for an acknowledgement is lost in a reset.
        reply(lambda _: streamed([b"".join(_two_choices(both=False))], Reset())),
        request={"stream": True, "n": 2},
        text=_BOTH_TEXTS,
        finish=("length", "stop"),
        end="truncated",
        wires=(CHAT,),
    ),
)
WIRE_FORMS = (
    Row(
        "byte-by-byte",
        reply(lambda wire: replace(streamed(wire.stream(_WIDE)), pace=Pace())),
        text="".join(_WIDE),
    ),
    Row("crlf", reply(altered(crlf))),
    Row("crlf-byte-by-byte", reply(lambda w: replace(altered(crlf)(w), pace=Pace()))),
    Row("data-on-two-lines", reply(altered(on_two_lines))),
    Row("byte-order-mark", reply(lambda w: streamed([b"\xef\xbb\xbf", *w.stream()]))),
    Row(
        "comments",
        reply(lambda w: streamed([b": warming up\n\n", *w.cut(), b":\n\n", *w.stream()[len(w.cut()) :]])),
    ),
    Row("odd-line-first", reply(lambda w: streamed([b"garbage without a colon\n\n", *w.stream()]))),
    Row(
        "odd-line-inside",
        reply(lambda w: streamed([*w.cut(), b"garbage without a colon\n\n", *w.stream()[len(w.cut()) :]])),
    ),
    Row(
        "4-mib-event",
        reply(lambda wire: replace(streamed(wire.stream([_LONG])), framing=Framing.UNTIL_CLOSE)),
        text=_LONG,
        tls=True,
    ),
    *(Row(f"{name}-whole", reply(encoded(name, good))) for name in ("gzip", "deflate", "br", "zstd")),
    *(
        Row(f"{name}-body", reply(encoded(name, body)), request=WHOLE)
        for name in ("gzip", "deflate", "br", "zstd")
    ),
    *(
        Row(f"{name}-cut", reply(encoded(name, cut(Reset()))), **ENDED_WITH_LENGTH)
        for name in ("gzip", "deflate", "br", "zstd")
    ),
    *(
        Row(
            f"{name}-short",
            reply(encoded(name, cut(Fin()), framing=Framing.UNTIL_CLOSE)),
            **ENDED_WITH_LENGTH,
        )
        for name in ("gzip", "deflate", "br", "zstd")
    ),
    *(
        Row(
            f"{name}-no-trailer",
            reply(encoded(name, lambda w: streamed(w.stream(), Fin()), framing=Framing.UNTIL_CLOSE)),
        )
        for name in ("gzip", "deflate", "br", "zstd")
    ),
)
NOT_STREAMED = (
    Row("body-reset", reply(half_body(Reset())), "one two", request=WHOLE),
    Row("body-short", reply(half_body(Fin())), "one two", request=WHOLE),
    Row("body-half", reply(half_body()), "one two", request=WHOLE),
    Row("body-empty", reply(lambda _: whole(b"")), "one two", request=WHOLE),
    Row("body-page", reply(page), "one two", request=WHOLE),
    Row("body-500", reply(rejected(500, "server")), "one two", request=WHOLE),
    Row("body-429", reply(rejected(429, "rate", LATER)), "one two", request=WHOLE),
    Row(
        "body-400",
        reply(rejected(400, "request")),
        request=WHOLE,
        status=400,
        says=UNTOUCHED,
        **REFUSED,
    ),
    Row("body-error-200", reply(rejected(200, "server")), "one two", request=WHOLE),
    *(
        Row(
            f"body-silent{name}",
            reply(make),
            mode="hasty",
            request=WHOLE,
            status=504,
            says="no answer within 1 s",
            headers={"x-should-retry": "false"},
            **REFUSED,
            hangs=True,
        )
        for name, make in (("", hang), ("-half", half_body(Hang())))
    ),
)
FORMS = (*PROPER, *WIRE_FORMS, *NOT_STREAMED)
