"""A program of its own: one streamed call with OpenAI's SDK, and what came of it as JSON.

Its argument is the job, JSON too: `key`, `model`, `session`, `base_url`, `timeout` (seconds).
Null is what the SDK has by itself.
"""

import json
import sys
import time

from openai import OpenAI

job = json.loads(sys.argv[1])
options = {name: job[name] for name in ("base_url", "timeout") if job[name] is not None}
text, finish, error = "", None, ""
began = time.monotonic()
try:
    client = OpenAI(api_key=job["key"], default_headers={"x-session-id": job["session"]}, **options)
    question = [{"role": "user", "content": "How is it going?"}]
    for chunk in client.chat.completions.create(model=job["model"], messages=question, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
except Exception as met:
    error = f"{type(met).__name__}: {met}"
print(json.dumps({"text": text, "finish": finish, "error": error, "seconds": time.monotonic() - began}))
