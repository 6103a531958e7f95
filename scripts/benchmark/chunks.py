"""What one chunk of a stream costs in a client library, in a process of its own.

    PYTHON chunks.py LIBRARY PORT CA BODY ROUNDS

LIBRARY is httpx or httpx2, BODY the request. Prints a line of JSON for each round: CPU seconds and chunks.
"""

import asyncio
import importlib
import json
import ssl
import sys
import time
from typing import Any


async def stream(transport: Any, request: Any) -> int:
    """Read one answer as the proxy does, below the library's client; the number of chunks."""
    chunks = 0
    response = await transport.handle_async_request(request)
    async for _ in response.stream:
        chunks += 1
    await response.aclose()
    return chunks


async def main(library: str, port: str, ca: str, body: str) -> None:
    httpx = importlib.import_module(library)
    url = f"https://localhost:{port}/v1/chat/completions"
    async with httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=ca)) as transport:
        # A line on standard input asks for a round: the other library has its turn in between.
        for _ in sys.stdin:
            before = time.process_time()
            chunks = await stream(transport, httpx.Request("POST", url, content=body.encode()))
            print(json.dumps([time.process_time() - before, chunks]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
