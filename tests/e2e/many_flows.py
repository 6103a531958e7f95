"""An add-on for mitmweb that puts calls into its list which are long over, as many as RECORDED_CALLS says.

What is theirs in the list of a proxy that ran for a week is made in a second.
"""

import json
import os

from mitmproxy import ctx, http
from mitmproxy.test import tflow, tutils

from tests.vendor import chat_stream

ASKED = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "word " * 500}]}
RECORD = {"protocol": "openai_chat", "operation": "generate", "provider": "openai", "end": "completed"}


def running() -> None:
    asked, answer = json.dumps(ASKED).encode(), b"".join(chat_stream(["Hello"] * 20))
    calls = int(os.environ["RECORDED_CALLS"])
    ctx.master.addons.get("view").add([_call(number, asked, answer) for number in range(calls)])  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def _call(number: int, asked: bytes, answer: bytes) -> http.HTTPFlow:
    request = tutils.treq(method=b"POST", path=b"/v1/chat/completions", content=asked)
    request.timestamp_start = 1e9 + number
    response = tutils.tresp(content=answer, headers=http.Headers(((b"content-type", b"text/event-stream"),)))
    flow = tflow.tflow(req=request, resp=response)
    flow.metadata["rotator"] = {**RECORD, "call": f"{number:08x}"}
    flow.comment = "ok 12k>850\n· attempt 1 with main: completed after 1.00 s"
    return flow
