"""A provider that costs little and misbehaves never: chat streams over TLS, as long and as slow as asked.

    python -m scripts.benchmark.provider FOLDER

Leaves its authority in FOLDER/ca.pem, prints its port, and serves until it is ended. The request's text says
what to send: `events` of about 200 bytes, `burst` of them in one write (each a chunk of its own), and a
pause of `gap` seconds after each write. A request for messages is answered in that protocol.
"""

import asyncio
import json
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.vendor.authority import Authority

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: req_0123456789\r\n\r\n"
)
_LENGTH = b"content-length:"
_WISH = re.compile(rb"events=(\d+) burst=(\d+) gap=([\d.e-]+)")


@dataclass(frozen=True, slots=True)
class Load:
    """What a request asks for, see the module's docstring."""

    events: int
    burst: int = 1
    gap: float = 0.001


def request_body(load: Load) -> bytes:
    text = f"events={load.events} burst={load.burst} gap={load.gap}"
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "gpt-4o", "stream": True, "messages": messages}).encode()


def load_of(body: bytes) -> Load:
    """What a request asks for, in whatever protocol it comes."""
    found = _WISH.search(body)
    assert found
    return Load(int(found[1]), int(found[2]), float(found[3]))


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    """One event, as a chunk of the transfer coding."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    top = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1_700_000_000}
    return chunk(b"data: " + json.dumps({**top, "model": "gpt-4o", "choices": [choice]}).encode() + b"\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def named(kind: str, **data: object) -> bytes:
    """One event of a messages stream, as a chunk of the transfer coding."""
    return chunk(f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **data}).encode() + b"\n\n")


@dataclass(frozen=True, slots=True)
class Frames:
    """What a stream of one protocol is made of; `token` comes as often as asked."""

    first: bytes
    token: bytes
    last: bytes


CHAT = Frames(
    HEAD + event({"role": "assistant", "content": ""}),
    event({"content": " token"}),
    event({}, "stop") + chunk(b"data: [DONE]\n\n") + chunk(b""),
)
_MESSAGE = {"id": "msg_0123456789", "type": "message", "role": "assistant", "model": "claude", "content": []}
MESSAGES = Frames(
    HEAD
    + named("message_start", message={**_MESSAGE, "usage": {"input_tokens": 9, "output_tokens": 1}})
    + named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    named(
        "content_block_delta", index=0, delta={"type": "text_delta", "text": " token"}, obfuscation="x" * 80
    ),
    named("content_block_stop", index=0)
    + named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    + named("message_stop")
    + chunk(b""),
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
    writer.write(frames.first)
    for _ in range(load.events // load.burst):
        writer.write(frames.token * load.burst)
        await writer.drain()
        await asyncio.sleep(load.gap)
    writer.write(frames.last)
    await writer.drain()


async def main(folder: Path) -> None:
    context = Authority(folder).server_context()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
