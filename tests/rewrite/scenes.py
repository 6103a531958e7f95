"""What the conversations of the exchange tests are made of: calls, terms, frames, whole answers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from protocols import anthropic_messages, openai_chat
from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.http import Head, parsed
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.exchange.exchange import Exchange
from rewrite.targets.target import Target
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    Acquire,
    Acquired,
    NoneFree,
    OpenUpstream,
    Start,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import ErrorFacts, Kind
from rewrite.values.timeouts import Limits, Timing
from tests.playbook import Playbook

ANTHROPIC, CHAT = anthropic_messages.PROTOCOL, openai_chat.PROTOCOL
QUIET = Timing(
    connect=0.0,
    first_event=0.0,
    first_token=0.0,
    hold=0.0,
    stall=0.0,
    response=0.0,
    patience=590.0,
    any_byte_keeps_alive=False,
)
"""No timers, so that a conversation shows only what it is about."""

FACTS = ErrorFacts(
    codes={
        "overloaded_error": Kind.SERVER,
        "rate_limit_error": Kind.RATE,
        "invalid_api_key": Kind.AUTH,
        "insufficient_quota": Kind.QUOTA,
        "context_length_exceeded": Kind.REQUEST,
    },
    phrases=[("invalid `signature`", Kind.BINDING), ("credit balance", Kind.QUOTA)],
)
TERMS = Terms(QUIET, Limits())
VENDOR = Provider("vendor", "https://vendor.example", (), ("openai_chat",), errors=FACTS)

type Spec = Terms | Target
"""What a test says of a target. Terms alone: of the provider that the client called, asked as it asked."""
SSE = Head(200, (("content-type", "text/event-stream; charset=utf-8"),))
JSON = Head(200, (("content-type", "application/json"),))
HTML = Head(200, (("content-type", "text/html"),))


def call(protocol: WireProtocol = CHAT, *, stream: bool = True) -> Call:
    return Call("call", protocol.name, Operation.GENERATE, "model", stream, ())


def play(
    one: Call | None = None,
    terms: Spec = TERMS,
    *others: Spec,
    protocol: WireProtocol = CHAT,
    **timing: float,
) -> Playbook:
    """A conversation at its beginning; `others` are targets to fall back on, `timing` turns timers on."""
    specs = [_timed(each, **timing) for each in (terms, *others)]
    return Playbook(exchange_of(one or call(protocol), protocol, *specs))


def timed(terms: Terms, **timing: float) -> Terms:
    return structs.replace(terms, timing=structs.replace(terms.timing, **timing))


def _timed(spec: Spec, **timing: float) -> Spec:
    if isinstance(spec, Target):
        return replace(spec, terms=timed(spec.terms, **timing))
    return timed(spec, **timing)


def own(
    one: Call | None = None,
    protocol: WireProtocol = CHAT,
    terms: Terms = TERMS,
    *,
    provider: Provider = VENDOR,
    original: bool = True,
    **fields: Any,
) -> Target:
    """A provider that is asked as the client asked but for `fields`; by default the original one."""
    one = one or call(protocol)
    route = Route(provider, protocol.name, one.model, original)
    return Target(route, one, protocol, parsed(provider.base_url), terms, **fields)


def targets(one: Call, protocol: WireProtocol, *specs: Spec) -> list[Target]:
    made = (spec if isinstance(spec, Target) else own(one, protocol, spec) for spec in specs)
    return [replace(each, index=index) for index, each in enumerate(made)]


def exchange_of(one: Call, protocol: WireProtocol, *specs: Spec, now: float = 0.0) -> Exchange:
    """A call that is asked at `specs`, one after another."""
    return Exchange(one, protocol, targets(one, protocol, *specs), now)


def opened(playbook: Playbook, credential: str = "a", head: Head = SSE) -> Playbook:
    """The first attempt up to its headers, where no timers are on."""
    playbook = playbook >> Start() << Acquire(1)
    return asked(playbook, 1, credential, head)


def asked(playbook: Playbook, attempt: int, credential: str, head: Head, *, fresh: bool = False) -> Playbook:
    """Attempt `attempt`, from its credential to its headers, where no timers are on."""
    playbook = playbook >> Acquired(attempt, credential) << OpenUpstream(attempt, fresh)
    return playbook >> UpstreamSent(attempt) >> UpstreamStarted(attempt, head)


def rotated(attempt: int, *, resting: str = "", refused: str = "", others: str = "") -> Acquire:
    """The command to acquire another key: after these keys (a letter each) said that their rate is used up,
    refused this call, or failed otherwise."""
    asked = frozenset(resting + refused + others)
    return Acquire(attempt, asked, refused=frozenset(refused), resting=frozenset(resting))


def others(attempt: int, asked: str, *, refused: str = "", target: int = 0) -> Acquire:
    """The command to acquire a free key besides these (a letter each), after an error that was answered."""
    return Acquire(attempt, frozenset(asked), refused=frozenset(refused), target=target, only_others=True)


def no_other(playbook: Playbook, attempt: int, asked: str, *, refused: str = "", target: int = 0) -> Playbook:
    """Another free key is wanted, and there is none."""
    return playbook << others(attempt, asked, refused=refused, target=target) >> NoneFree(attempt, None)


# -- OpenAI Chat ----------------------------------------------------------------------------------------

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
_TEMPLATE = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "model"}


def chunk(delta: Mapping[str, object], choice: int = 0, finish: str | None = None) -> bytes:
    """One frame of a chat stream."""
    choices = [{"index": choice, "delta": delta, "finish_reason": finish}]
    return b"data: " + dump({**_TEMPLATE, "choices": choices}) + b"\n\n"


def says(text: str, choice: int = 0) -> bytes:
    return chunk({"content": text}, choice)


def calls(arguments: str, name: str | None = None) -> bytes:
    """A fragment of a tool call; the first one has the name."""
    header = {"id": "t1", "type": "function"} if name else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return chunk({"tool_calls": [{"index": 0, **header, "function": function}]})


def finishes(reason: str, choice: int = 0) -> bytes:
    return chunk({}, choice, reason)


def error_chunk(message: str, **error: object) -> bytes:
    return b"data: " + dump({"error": {"message": message, **error}}) + b"\n\n"


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
EMPTY_REASONING = chunk({"role": "assistant", "content": None, "reasoning_content": ""})
USAGE = b"data: " + dump({**_TEMPLATE, "choices": [], "usage": {"prompt_tokens": 3}}) + b"\n\n"


def length(choice: int = 0) -> bytes:
    """The frame by which we end a choice of these streams that was cut."""
    ending = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": "length"}
    return b"data: " + dump({**_TEMPLATE, "choices": [ending]}) + b"\n\n"


# -- Anthropic Messages ---------------------------------------------------------------------------------


def event(kind: str, **fields: object) -> bytes:
    """One frame of a messages stream."""
    return f"event: {kind}\ndata: ".encode() + dump({"type": kind, **fields}) + b"\n\n"


MESSAGE = event("message_start", message={"id": "m1", "model": "model", "usage": {"input_tokens": 3}})
MESSAGE_PING = event("ping")
MESSAGE_STOP = event("message_stop")


def block(index: int, kind: str, **fields: object) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(index: int, **fields: object) -> bytes:
    return event("content_block_delta", index=index, delta=fields)


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def ending(reason: str, output: int = 5) -> bytes:
    return event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None},
        usage={"output_tokens": output},
    )


def message_error(kind: str, message: str) -> bytes:
    return event("error", error={"type": kind, "message": message})


# -- errors over HTTP -----------------------------------------------------------------------------------


def refused(code: int, *headers: tuple[str, str]) -> Head:
    return Head(code, (("content-type", "application/json"), *headers))


def error_body(message: str, code: str | None = None, kind: str = "error") -> bytes:
    return dump({"error": {"message": message, "type": kind, "code": code}})
