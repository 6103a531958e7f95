"""What a server said before it hung up, where mitmproxy noticed the end by writing.

A server that refuses a long request answers and closes at once, with bytes of the request unread. The next
write then fails, and asyncio's streams drop what has arrived and was not read yet: the answer.

Internals that this file leans on, to be checked at an upgrade: asyncio calls a reader's `set_exception`
before it closes the socket, and a read after that raises, whatever is in `_buffer`; mitmproxy's
`ConnectionHandler`: transports, server_event.
"""

import asyncio
import os

from mitmproxy.connection import Connection
from mitmproxy.proxy.events import DataReceived
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

_MOST = 1 << 20
"""Bytes that are read at the end."""


def keep_last_words(handler: ConnectionHandler, connection: Connection) -> None:
    """Let the layers have what has arrived on `connection` before they have its end."""
    transport = handler.transports.get(connection)
    reader, writer = (transport.reader, transport.writer) if transport else (None, None)
    if not isinstance(reader, asyncio.StreamReader) or not isinstance(writer, asyncio.StreamWriter):
        return
    if "set_exception" in vars(reader):
        return  # a connection that is used again
    fail = reader.set_exception

    def set_exception(error: Exception) -> None:
        if data := _taken(reader) + _arrived(writer):
            received = handler.server_event(DataReceived(connection, data))
            asyncio_utils.create_task(received, name="last words", keep_ref=True)
        fail(error)

    reader.set_exception = set_exception  # type: ignore[method-assign,assignment]  # on this one connection


def _taken(reader: asyncio.StreamReader) -> bytes:
    buffer: bytearray = reader._buffer  # type: ignore[attr-defined]  # see above
    data = bytes(buffer)
    buffer.clear()
    return data


def _arrived(writer: asyncio.StreamWriter) -> bytes:
    descriptor = writer.get_extra_info("socket").fileno()
    data = b""
    try:
        while descriptor >= 0 and len(data) < _MOST and (more := os.read(descriptor, _MOST)):
            data += more
    except OSError:
        pass  # nothing more is there
    return data
