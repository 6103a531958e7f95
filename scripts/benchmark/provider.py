"""A provider that costs little and misbehaves never: chat streams, as long and as slow as asked.

    python -m scripts.benchmark.provider FOLDER

Leaves its authority in FOLDER/ca.pem, prints two ports, of HTTP and of HTTPS, and serves until it is ended.
The request's text says what to send (`loads.Load`). A request for messages is answered in that protocol.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.loads import Load, load_of
from tests.vendor.authority import Authority

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: req_0123456789\r\n\r\n"
)
STAMP = b"@%019d"
"""Nanoseconds of the machine's monotonic clock, which all processes share."""
_LENGTH = b"content-length:"
_BLANK = STAMP % 0


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    """One event of a chat stream."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    top = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1_700_000_000}
    data = {**top, "model": "gpt-4o", "choices": [choice], "obfuscation": _BLANK.decode()}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def named(kind: str, **data: object) -> bytes:
    """One event of a messages stream."""
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **data}).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """A chunk of the transfer coding; the last one of an answer has no data."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class Frames:
    """What a stream of one protocol is made of; `token` comes as often as asked."""

    first: bytes
    token: bytes
    last: bytes


CHAT = Frames(
    event({"role": "assistant", "content": ""}),
    event({"content": " token"}),
    event({}, "stop") + b"data: [DONE]\n\n",
)
_MESSAGE = {"id": "msg_0123456789", "type": "message", "role": "assistant", "model": "claude", "content": []}
MESSAGES = Frames(
    named("message_start", message={**_MESSAGE, "usage": {"input_tokens": 9, "output_tokens": 1}})
    + named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    named(
        "content_block_delta", index=0, delta={"type": "text_delta", "text": " token"}, obfuscation="x" * 110
    ),
    named("content_block_stop", index=0)
    + named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    + named("message_stop"),
)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until the client leaves."""
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            path, body = await read_request(reader)
            await answer(writer, MESSAGES if path.endswith(b"/messages") else CHAT, load_of(body))
    writer.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Path and body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
    return head.split(b" ", 2)[1], await reader.readexactly(int(length))


async def answer(writer: asyncio.StreamWriter, frames: Frames, load: Load) -> None:
    if load.burst >= load.events:
        writer.write(HEAD + chunk(frames.first + frames.token * load.events + frames.last) + chunk(b""))
        return
    writer.write(HEAD + chunk(frames.first))
    for number in range(load.events // load.burst):
        writer.write(chunk(stamped(frames.token) if load.stamped else frames.token) * load.burst)
        await writer.drain()
        # Streams that go on in step would each wait for all others.
        await asyncio.sleep(load.gap * (random.random() if load.stamped and not number else 1))
    writer.write(chunk(frames.last) + chunk(b""))
    await writer.drain()


def stamped(token: bytes) -> bytes:
    """The same event, which says when it is written."""
    return token.replace(_BLANK, STAMP % time.monotonic_ns())


async def main(folder: Path) -> None:
    context = Authority(folder).server_context()
    plain = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=512, limit=1 << 23)
    secure = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512, limit=1 << 23)
    print(*(server.sockets[0].getsockname()[1] for server in (plain, secure)), flush=True)
    await asyncio.gather(plain.serve_forever(), secure.serve_forever())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
