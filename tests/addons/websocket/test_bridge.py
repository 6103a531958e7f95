"""The answer to a turn on its way into messages; tests/e2e/test_websocket.py has all else of a bridge."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from addons.websocket.bridge import TurnReply
from tests.vendor.answers import named_event
from tests.vendor.responses import responses_answer, responses_stream

EVENTS = responses_stream(["Hello", " there"])
STREAM = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json"), (b"x-request-id", b"req_1"), (b"server", b"odd")]


class Client:
    """What a client gets."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.pings = 0

    async def send(self, texts: Sequence[str]) -> None:
        self.batches.append([json.loads(text) for text in texts])

    async def ping(self) -> None:
        self.pings += 1

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for batch in self.batches for event in batch]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def reply(client: Client) -> TurnReply:
    return TurnReply(client, "")


async def send(reply: TurnReply, data: bytes) -> None:
    if not reply.send(data):
        await reply.drained()


async def test_events_that_come_together_leave_together(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, b"".join(EVENTS[:3]))
    await send(reply, b"".join(EVENTS[3:]))
    reply.end()
    await reply.drained()
    assert [len(batch) for batch in client.batches] == [3, len(EVENTS) - 3]
    assert reply.response_id == "resp_1"
    assert [item["id"] for item in reply.output] == ["msg_1"]


async def test_half_an_event_is_neither_a_message_nor_a_ping(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, EVENTS[0][:20])
    assert (client.batches, client.pings) == ([], 0)
    await send(reply, EVENTS[0][20:])
    assert client.kinds == ["response.created"]
    assert reply.response_id == ""


async def test_a_sign_of_life_is_a_ping(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, b"\n")
    assert (client.batches, client.pings) == ([], 1)


async def test_a_last_event_without_its_blank_line_is_reported(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, b"".join(EVENTS)[:-2])
    reply.end()
    await reply.drained()
    assert client.kinds[-1] == "response.completed"


async def test_an_answer_in_one_piece(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", JSON)
    for piece in responses_answer("Hello"):
        await send(reply, piece)
    assert client.batches == []
    reply.end()
    await reply.drained()
    assert (client.kinds[0], client.kinds[-1]) == ("response.created", "response.completed")
    assert (reply.response_id, len(reply.output)) == ("resp_1", 1)


async def test_a_refusal(client: Client, reply: TurnReply) -> None:
    reply.start(429, b"Too Many Requests", JSON)
    await send(reply, b'{"error": {"code": "rate_limit')
    await send(reply, b'_exceeded"}}')
    reply.end()
    await reply.drained()
    ((event,),) = client.batches
    assert event == {
        "type": "error",
        "status": 429,
        "error": {"code": "rate_limit_exceeded"},
        "headers": {"x-request-id": "req_1"},
    }
    assert reply.response_id == ""


async def test_nonsense_in_the_place_of_an_answer(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", JSON)
    await send(reply, b"[1, 2]")
    reply.end()
    await reply.drained()
    ((event,),) = client.batches
    assert (event["type"], event["status"]) == ("error", 502)


async def test_an_answer_that_breaks_off(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, EVENTS[0])
    reply.abort("the connection was reset")
    await reply.drained()
    event = client.batches[-1][0]
    assert (event["type"], event["status"], event["error"]["message"]) == (
        "error",
        502,
        "the connection was reset",
    )
    assert reply.response_id == ""


@pytest.mark.parametrize(
    ("kind", "status"),
    [("server_error", 502), ("rate_limit_error", 429), ("rate_limit_exceeded", 429), ("invalid_prompt", 400)],
)
async def test_an_error_that_is_a_streams_last_word_fails_the_turn(
    client: Client, reply: TurnReply, kind: str, status: int
) -> None:
    """Over HTTP the end of the stream says so; here nothing else does."""
    error = {"type": kind, "message": "Overloaded."}
    reply.start(200, b"OK", [*STREAM, (b"retry-after", b"7")])
    await send(reply, EVENTS[0] + named_event({"type": "error", "error": error}))
    reply.end()
    await reply.drained()
    last = client.batches[-1][-1]
    assert (last["type"], last["status"], last["error"]) == ("error", status, error)
    assert last["headers"] == {"retry-after": "7"}
    assert client.kinds == ["response.created", "error"]


FAILED = {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": {}}}
ERROR = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down."}


@pytest.mark.parametrize("ending", ["end", "abort", "fail"])
@pytest.mark.parametrize(
    ("stream", "kinds", "status"),
    [
        ([ERROR, FAILED], ["response.failed"], None),
        ([FAILED, ERROR], ["response.failed"], None),
        ([FAILED, FAILED], ["response.failed"], None),
        ([ERROR], ["error"], 429),
        ([{**ERROR, "status": 503}], ["error"], 503),
        ([], ["error"], 502),
    ],
)
async def test_a_turn_that_fails_has_one_end(
    client: Client, reply: TurnReply, ending: str, stream: list[Any], kinds: list[str], status: int | None
) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, b"".join(map(named_event, stream)))
    reply.abort("cut") if ending == "abort" else reply.end()
    if ending == "fail":
        reply.fail({"type": "error", "status": 502})
    await reply.drained()
    assert client.kinds == kinds
    assert client.batches[-1][-1].get("status") == status


async def test_nothing_follows_the_end(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    await send(reply, b"".join(EVENTS) + named_event(ERROR))
    reply.abort("cut")
    await reply.drained()
    assert client.kinds[-1] == "response.completed"
    assert client.kinds.count("response.completed") == 1
    assert reply.response_id == "resp_1"


async def test_nothing_leaves_before_its_turn(client: Client, reply: TurnReply) -> None:
    reply.start(200, b"OK", STREAM)
    more = [reply.send(EVENTS[0]), reply.send(b"\n"), reply.send(b"".join(EVENTS[1:]))]
    reply.end()
    assert (more, client.batches, client.pings) == ([False] * 3, [], 0)
    await reply.drained()
    assert [len(batch) for batch in client.batches] == [1, len(EVENTS) - 1]
    assert client.pings == 1
