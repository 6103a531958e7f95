"""A provider that costs little and misbehaves never: chat streams over TLS, as long and as slow as asked.

    python -m scripts.benchmark.provider FOLDER

Leaves its authority in FOLDER/ca.pem, prints its port, and serves until it is ended. The request's body says
what to send: `events` of about 200 bytes, `burst` of them in one write (each a chunk of its own), and a
pause of `gap` seconds behind each write.
"""

import asyncio
import json
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


@dataclass(frozen=True, slots=True)
class Load:
    """What a request asks for, see the module's docstring."""

    events: int
    burst: int = 1
    gap: float = 0.001


def request_body(load: Load) -> bytes:
    wish = {"events": load.events, "burst": load.burst, "gap": load.gap}
    return json.dumps({"model": "gpt-4o", "stream": True, "messages": [], "metadata": wish}).encode()


def load_of(body: bytes) -> Load:
    """The inverse of request_body."""
    return Load(**json.loads(body)["metadata"])


def event(delta: dict[str, str], reason: str | None = None) -> bytes:
    """One event, as a chunk of the transfer coding."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    top = {"id": "chatcmpl-0123456789", "object": "chat.completion.chunk", "created": 1_700_000_000}
    return chunk(b"data: " + json.dumps({**top, "model": "gpt-4o", "choices": [choice]}).encode() + b"\n\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


FIRST = HEAD + event({"role": "assistant", "content": ""})
TOKEN = event({"content": " token"})
LAST = event({}, "stop") + chunk(b"data: [DONE]\n\n") + chunk(b"")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until the client leaves."""
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await answer(writer, load_of(await read_request(reader)))
    writer.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """The body of the next request."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(_LENGTH)[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))


async def answer(writer: asyncio.StreamWriter, load: Load) -> None:
    writer.write(FIRST)
    for _ in range(load.events // load.burst):
        writer.write(TOKEN * load.burst)
        await writer.drain()
        await asyncio.sleep(load.gap)
    writer.write(LAST)
    await writer.drain()


async def main(folder: Path) -> None:
    context = Authority(folder).server_context()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
