"""A scriptable provider on loopback for tests: real sockets, real TLS, every misbehaviour on demand.

    async with Vendor(tls=True) as vendor:
        vendor.on(key="sk-one").reply(chat_error(429, "rate_limit_exceeded", "slow down"))
        vendor.always(streamed(chat_stream(["Hello"])[:2], WaitFor("go"), Reset()))

`script` has the answers and steps; `answers`, `responses`, `gemini` and `ollama` ready-made bodies, which
`speech` has in the words of any protocol; `server.Vendor` and `thread.VendorThread` are the server for tests
with and without an event loop.
"""

from tests.vendor.answers import (
    Tool,
    chat_answer,
    chat_error,
    chat_error_event,
    chat_stream,
    chat_tool_stream,
    messages_answer,
    messages_error,
    messages_error_event,
    messages_stream,
    messages_tool_stream,
)
from tests.vendor.authority import Authority
from tests.vendor.http1 import Received
from tests.vendor.script import (
    Answer,
    End,
    Fin,
    Framing,
    Hang,
    Pace,
    Pause,
    Raw,
    Reply,
    Reset,
    Send,
    SendShort,
    Step,
    Stray,
    Upgrade,
    WaitFor,
    streamed,
    whole,
)
from tests.vendor.server import Vendor
from tests.vendor.speech import SPEECHES, Said, Speech
from tests.vendor.thread import VendorThread

__all__ = [
    "SPEECHES",
    "Answer",
    "Authority",
    "End",
    "Fin",
    "Framing",
    "Hang",
    "Pace",
    "Pause",
    "Raw",
    "Received",
    "Reply",
    "Reset",
    "Said",
    "Send",
    "SendShort",
    "Speech",
    "Step",
    "Stray",
    "Tool",
    "Upgrade",
    "Vendor",
    "VendorThread",
    "WaitFor",
    "chat_answer",
    "chat_error",
    "chat_error_event",
    "chat_stream",
    "chat_tool_stream",
    "messages_answer",
    "messages_error",
    "messages_error_event",
    "messages_stream",
    "messages_tool_stream",
    "streamed",
    "whole",
]
