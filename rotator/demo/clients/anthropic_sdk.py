"""A program of its own: one streamed call with Anthropic's SDK, and what came of it as JSON.

The job is that of openai_sdk.py.
"""

import json
import sys
import time

from anthropic import Anthropic

job = json.loads(sys.argv[1])
options = {name: job[name] for name in ("base_url", "timeout") if job[name] is not None}
text, finish, error = "", None, ""
began = time.monotonic()
try:
    client = Anthropic(api_key=job["key"], default_headers={"x-session-id": job["session"]}, **options)
    question = [{"role": "user", "content": "How is it going?"}]
    with client.messages.stream(model=job["model"], messages=question, max_tokens=100) as stream:
        for piece in stream.text_stream:
            text += piece
        finish = stream.get_final_message().stop_reason
except Exception as met:
    error = f"{type(met).__name__}: {met}"
print(json.dumps({"text": text, "finish": finish, "error": error, "seconds": time.monotonic() - began}))
