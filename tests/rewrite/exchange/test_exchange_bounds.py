"""Conversations: answers that come to more than may be kept of one."""

import pytest
from msgspec import structs

from protocols.model.http import Head
from rewrite.targets.reading import FRAME_COST
from rewrite.values.events import (
    CancelUpstream,
    EndResponse,
    Release,
    Report,
    SendData,
    SendHeaders,
    UpstreamClosed,
    UpstreamData,
)
from rewrite.values.outcome import Kind, Rejected, Truncated
from rewrite.values.timeouts import Limits
from tests.playbook import ANY, body_with, over, status
from tests.rewrite.scenes import JSON, PING, SSE, TERMS, call, error_body, length, opened, play, refused, says

LONGEST = 1000
SHORT = structs.replace(TERMS, limits=Limits(body=LONGEST))
WORDS = f"more than {LONGEST} bytes in memory that cannot be passed on in pieces ([limits] body)"
TOO_LARGE = Rejected(200, Kind.REQUEST, WORDS)
OPEN = b'{"id": "c1", "text": "'


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (JSON, [OPEN, b"x" * LONGEST]),
        (JSON, [b'{"data": [', b"{}," * (LONGEST // 64)]),
        (JSON, [b'{"data": [', b"1," * (LONGEST // 8)]),
        (SSE, [b"data: ", b"x" * LONGEST]),
        (SSE, [b"data: ", b"x" * LONGEST + b"\n\n"]),
        (SSE, [PING] * (LONGEST // (len(PING) + FRAME_COST) + 1)),
        (SSE, [b"\n"] * (LONGEST // (1 + FRAME_COST) + 1)),
    ],
)
def test_an_answer_that_is_too_large_is_not_asked_for_twice(head: Head, pieces: list[bytes]) -> None:
    conversation = opened(play(call(stream=head is SSE), SHORT), head=head)
    for piece in pieces[:-1]:
        conversation = conversation >> UpstreamData(1, piece)
    assert (
        conversation
        >> UpstreamData(1, pieces[-1])
        << CancelUpstream(1)
        << Release(1, TOO_LARGE)
        << SendHeaders(1, status(502, x_should_retry="false"))
        << SendData(1, body_with(WORDS))
        << Report(over("rejected", "rejected(200 request)"))
        << EndResponse(1)
    )


def test_a_whole_answer_up_to_the_bound_is_one() -> None:
    body = OPEN + b"x" * (LONGEST - len(OPEN) - 2) + b'"}'
    conversation = opened(play(call(stream=False), SHORT), head=JSON) >> UpstreamData(1, body)
    assert (
        conversation
        >> UpstreamClosed(1)
        << SendHeaders(1, JSON)
        << SendData(1, body)
        << Release(1, ANY)
        << Report(over("completed", "completed"))
        << EndResponse(1)
    )


def test_a_stream_that_is_passed_on_may_be_as_long_as_it_is() -> None:
    frame = says("x" * (LONGEST // 3))
    conversation = opened(play(terms=SHORT)) >> UpstreamData(1, frame)
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, frame)
    for _ in range(9):
        conversation = conversation >> UpstreamData(1, frame) << SendData(1, frame)
    assert conversation


def test_a_frame_without_an_end_ends_the_stream() -> None:
    conversation = opened(play(terms=SHORT)) >> UpstreamData(1, says("Hi"))
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, says("Hi"))
    conversation = conversation >> UpstreamData(1, b"data: " + b"x" * (LONGEST - 6))
    assert (
        conversation
        >> UpstreamData(1, b"x")
        << SendData(1, body_with(length().decode()))
        << CancelUpstream(1)
        << Release(1, Truncated(WORDS))
        << Report(over("truncated", f"truncated({WORDS})"))
        << EndResponse(1)
    )


def test_the_body_of_an_error_is_read_up_to_the_bound() -> None:
    said = error_body("no such thing") + b" " * LONGEST
    head = refused(404)
    assert (
        opened(play(terms=SHORT), head=head)
        >> UpstreamData(1, said)
        << CancelUpstream(1)
        << Release(1, ANY)
        << SendHeaders(1, head)
        << SendData(1, said)
        << Report(over("rejected", "rejected(404 request)"))
        << EndResponse(1)
    )
