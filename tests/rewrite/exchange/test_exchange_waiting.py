"""Conversations: a client that gets heartbeats before anything is known, and what it gets later."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Call, Operation
from protocols.model.http import Head, Headers, header
from protocols.model.parts import StreamError
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    CancelUpstream,
    EndResponse,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Completed, Truncated
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Playbook, body_with, over, status
from tests.rewrite.asks import REGISTRY, REPLY, ask, target_at, wanted
from tests.rewrite.replay import Replay
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    HTML,
    JSON,
    ROLE,
    SSE,
    TERMS,
    Spec,
    asked,
    call,
    error_body,
    error_chunk,
    exchange_of,
    finishes,
    play,
    refused,
    rotated,
    says,
    timed,
)
from tests.vendor import SPEECHES

PROMISED = status(200, content_type="text/event-stream; charset=utf-8")
HEARTBEAT, AGAIN = SendData(CALL, b"\n", heartbeat=True), SetTimer(CALL, Timer.HEARTBEAT_BEFORE_COMMIT, 15.0)
ONCE = structs.replace(TERMS, limits=Limits(max_attempts=1), pooled=False)


def begun(playbook: Playbook) -> Playbook:
    return playbook >> Start() << AGAIN << Acquire(1)


def heartbeats(playbook: Playbook, *, first: bool = True) -> Playbook:
    """The client has waited for 15 s."""
    playbook = playbook >> After(15.0) >> TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT)
    playbook = playbook << SendHeaders(CALL, PROMISED) if first else playbook
    return playbook << HEARTBEAT << AGAIN


def early(one: Call | None = None, terms: Spec = TERMS, **timing: float) -> Playbook:
    return play(one, terms, protocol=CHAT, heartbeat=15.0, heartbeat_before_commit=True, **timing)


def test_a_client_that_waits_is_promised_a_stream_and_shown_life() -> None:
    conversation = heartbeats(heartbeats(begun(early())), first=False)
    conversation = heartbeats(asked(conversation, 1, "a", SSE) >> UpstreamData(1, ROLE), first=False)
    conversation = conversation >> UpstreamData(1, says("Hi")) << SendData(1, ROLE + says("Hi"))
    conversation = conversation << SetTimer(1, Timer.HEARTBEAT, 15.0) >> After(15.0)
    conversation = (
        conversation >> TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT) >> TimerFired(1, Timer.HEARTBEAT)
    )
    assert conversation << SendData(1, b"\n", heartbeat=True) << SetTimer(1, Timer.HEARTBEAT, 15.0)


def test_an_answer_in_time_has_its_own_head() -> None:
    conversation = asked(begun(early()), 1, "a", SSE) >> UpstreamData(1, says("Hi"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    conversation = conversation << SetTimer(1, Timer.HEARTBEAT, 15.0)
    assert conversation >> After(15.0) >> TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT)


def test_attempts_follow_one_another_unseen_after_the_promise() -> None:
    conversation = asked(heartbeats(begun(early())), 1, "a", refused(429))
    conversation = conversation >> UpstreamData(1, error_body("slow")) >> UpstreamClosed(1)
    conversation = conversation << Release(1, ANY) << rotated(2, resting="a")
    conversation = asked(conversation, 2, "b", SSE) >> UpstreamData(2, ROLE) >> UpstreamClosed(2, "reset")
    conversation = conversation << Release(2, Truncated("reset")) << rotated(3, resting="a", others="b")
    conversation = asked(conversation, 3, "c", SSE, fresh=True) >> UpstreamData(3, says("Hi"))
    assert conversation << SendData(3, says("Hi")) << SetTimer(3, Timer.HEARTBEAT, 15.0)


def test_after_the_promise_the_preamble_is_no_commitment() -> None:
    conversation = early(hold=30.0) >> Start() << SetTimer(CALL, Timer.HOLD, 30.0) << AGAIN << Acquire(1)
    conversation = asked(heartbeats(conversation), 1, "a", SSE) >> UpstreamData(1, ROLE) >> After(15.0)
    conversation = conversation >> TimerFired(CALL, Timer.HOLD) >> UpstreamClosed(1, "reset")
    assert conversation << Release(1, Truncated("reset")) << Acquire(2, ANY)


def test_a_hold_that_was_over_before_the_promise_is_no_commitment() -> None:
    """The head that it was to bring is out."""
    conversation = early(hold=10.0) >> Start() << SetTimer(CALL, Timer.HOLD, 10.0) << AGAIN << Acquire(1)
    conversation = heartbeats(conversation >> After(10.0) >> TimerFired(CALL, Timer.HOLD))
    conversation = asked(conversation, 1, "a", SSE) >> UpstreamData(1, ROLE) >> UpstreamClosed(1, "reset")
    assert conversation << Release(1, Truncated("reset")) << Acquire(2, ANY)


def test_a_proper_end_without_text_passes() -> None:
    answer = finishes("stop")
    conversation = asked(heartbeats(begun(early())), 1, "a", SSE) >> UpstreamData(1, answer + DONE)
    conversation = (
        conversation << SendData(1, answer) << SetTimer(1, Timer.HEARTBEAT, 15.0) << SendData(1, DONE)
    )
    conversation = (
        conversation << SetTimer(1, Timer.LINGER, ANY) >> UpstreamClosed(1) << Release(1, Completed())
    )
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


def test_a_whole_answer_does_not_fit_the_promise() -> None:
    conversation = asked(heartbeats(begun(early())), 1, "a", JSON)
    conversation = conversation >> UpstreamData(1, dump({"choices": [{"message": {"content": "Hi"}}]}))
    conversation = conversation >> UpstreamClosed(1) << Release(1, Completed())
    conversation = conversation << SendData(1, body_with('{"error":', "answered whole"))
    assert conversation << Report(over("rejected", "completed")) << EndResponse(1)


def never_streams() -> Target:
    """At a provider that cannot."""
    to = Route(Provider("v", "https://v", (), ("openai_chat",), streams=False), "openai_chat", "asked", True)
    return replace(target_of(ask("openai_chat"), CHAT, wanted(to, (), REPLY)), terms=TERMS)


def test_a_whole_answer_that_is_sent_as_a_stream_fits_the_promise() -> None:
    whole = {"id": "c1", "model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    conversation = asked(heartbeats(begun(early(ask("openai_chat"), never_streams()))), 1, "a", JSON)
    conversation = conversation >> UpstreamData(1, dump(whole)) >> UpstreamClosed(1)
    conversation = conversation << SendData(1, body_with('"Hi"', "data: [DONE]"))
    conversation = conversation << SetTimer(1, Timer.LINGER, ANY) << Release(1, Completed())
    assert conversation << Report(over("completed", "completed")) << EndResponse(1)


@pytest.mark.parametrize(("headers", "seconds"), [((), 100.0), ((("X-Server-Timeout", "60"),), 50.0)])
def test_a_client_that_gets_bytes_waits_on(headers: Headers, seconds: float) -> None:
    """But not one that says how long all of it may take."""
    conversation = begun(early(replace(call(), headers=headers), first_event=100.0, patience=50.0))
    conversation = conversation >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)
    assert conversation << SetTimer(1, Timer.FIRST_EVENT, seconds)


# -- who is never shown life so early -------------------------------------------------------------------

ARRAY = replace(call(REGISTRY["gemini_generate"]), target="/v1beta/models/m:streamGenerateContent")


@pytest.mark.parametrize(
    "one",
    [
        call(stream=False),
        replace(call(), operation=Operation.EMBEDDINGS),
        call(REGISTRY["ollama_chat"]),
        ARRAY,
    ],
    ids="whole embeddings lines array".split(),
)
def test_where_no_beat_is_harmless_there_is_none(one: Call) -> None:
    terms = timed(TERMS, heartbeat=15.0, heartbeat_before_commit=True)
    conversation = Playbook(exchange_of(one, REGISTRY[one.protocol], terms)) >> Start() << Acquire(1)
    assert conversation >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1)


def test_nobody_is_shown_life_so_early_unasked() -> None:
    conversation = play(heartbeat=15.0) >> Start() << Acquire(1)
    assert conversation >> Acquired(1, "a") << OpenUpstream(1) >> UpstreamSent(1) >> After(60.0)


def test_without_heartbeats_there_are_no_early_ones() -> None:
    assert play(heartbeat_before_commit=True) >> Start() << Acquire(1)


# -- what comes to nothing ------------------------------------------------------------------------------

SSE_PROTOCOLS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
ERRORS: Mapping[str, bytes] = {
    "openai_chat": b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}',
    "openai_responses": b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}',
    "anthropic_messages": b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}',
    "gemini_generate": b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}',
}


def promised(client: str, upstream: str, **timing: float) -> Replay:
    """One attempt of a call whose client has a head and a heartbeat; `upstream`: the provider's protocol."""
    asks = ask(client)
    return begun_for(asks, target_at(asks, upstream) if client != upstream else None, **timing)


def begun_for(asks: Call, way: Target | None, **timing: float) -> Replay:
    """The same of one call that goes `way`; None: as it is."""
    terms = timed(ONCE, heartbeat=15.0, heartbeat_before_commit=True, **timing)
    spec = replace(way, terms=terms) if way else terms
    running = Replay(exchange_of(asks, REGISTRY[asks.protocol], spec))
    for event in (Start(), TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT), UpstreamSent(1)):
        running.feed(event)
    return running


def error_in(client: str, running: Replay) -> StreamError:
    """The error that the client reads after the heartbeat, in a form that its SDKs raise on."""
    assert running.body.startswith(b"\n")
    assert running.head.status == running.summary.status == 200
    assert (header(running.head.headers, "content-type") or "").startswith("text/event-stream")
    decoder, progress = REGISTRY[client].decoder(ask(client), running.head), Progress()
    for segment in [*decoder.feed(running.body), *decoder.eof()]:
        progress.fold(decoder.read(segment))
    assert progress.error is not None
    assert progress.error.native
    return progress.error


@pytest.mark.parametrize("client", SSE_PROTOCOLS)
@pytest.mark.parametrize("upstream", SSE_PROTOCOLS)
def test_a_rejection_is_reported_inside_the_stream(client: str, upstream: str) -> None:
    running = promised(client, upstream)
    running.feed(UpstreamStarted(1, refused(429)))
    running.feed(UpstreamData(1, ERRORS[upstream]))
    running.feed(UpstreamClosed(1))
    assert running.summary.end == "rejected"
    assert error_in(client, running).message == "slow down"


@pytest.mark.parametrize("client", SSE_PROTOCOLS)
def test_silence_is_reported_inside_the_stream(client: str) -> None:
    running = promised(client, client, first_event=30.0)
    running.feed(TimerFired(1, Timer.FIRST_EVENT))
    assert "sent no answer" in error_in(client, running).message


@pytest.mark.parametrize("client", SSE_PROTOCOLS)
def test_a_page_is_reported_inside_the_stream(client: str) -> None:
    running = promised(client, client)
    running.feed(UpstreamStarted(1, replace(HTML, status=502)))
    running.feed(UpstreamData(1, b"<html>Bad gateway</html>"))
    running.feed(UpstreamClosed(1))
    assert error_in(client, running).message == "the provider answered with status 502"


def test_an_error_of_the_stream_itself_stays_as_it_is() -> None:
    """With what came before it."""
    error = error_chunk("too long", code="context_length_exceeded")
    conversation = asked(heartbeats(begun(early())), 1, "a", SSE) >> UpstreamData(1, ROLE + error)
    conversation = conversation << CancelUpstream(1) << Release(1, ANY) << SendData(1, ROLE + error)
    assert conversation << Report(over("rejected", "rejected(400 request)")) << EndResponse(1)


def test_a_translated_answer_continues_after_the_promise() -> None:
    running = promised("anthropic_messages", "openai_chat")
    running.feed(UpstreamStarted(1, Head(200, SSE.headers)))
    running.feed(UpstreamData(1, ROLE + says("Hi") + finishes("stop") + DONE))
    running.feed(UpstreamClosed(1))
    assert running.summary.end == "completed"
    assert running.head.status == 200
    assert running.body.startswith(b"\nevent: message_start\n")
    assert running.body.rstrip().endswith(b'{"type":"message_stop"}')


@pytest.mark.parametrize("client", SSE_PROTOCOLS)
def test_a_whole_answer_sent_as_a_stream_keeps_the_promise(client: str) -> None:
    """Of a provider that cannot stream."""
    asks, here = ask(client), Provider("here", "https://here.example", (), (client,), streams=False)
    route = Route(here, client, asks.model, original=True)
    running = begun_for(asks, target_of(asks, REGISTRY[client], wanted(route, (), REPLY)))
    running.feed(UpstreamStarted(1, JSON))
    running.feed(UpstreamData(1, b"".join(SPEECHES[client].make_answer("Hi"))))
    running.feed(UpstreamClosed(1))
    assert (running.summary.end, running.head.status) == ("completed", 200)
    decoder, progress = REGISTRY[client].decoder(asks, running.head), Progress()
    for segment in [*decoder.feed(running.body), *decoder.eof()]:
        progress.fold(decoder.read(segment))
    assert progress.complete
    assert [block.text for block in progress.blocks.values()] == ["Hi"]
