"""A user of the official openai SDK, in its own environment: prints seconds until the first token, as JSON.

    python sdk_client.py BASE_URL CA PROXY CALLS kept|new

PROXY is empty where there is none. The SDK closes a connection at `[DONE]`, before the end of the body; where
the connection is to be kept, its answer is read to the end.
"""

import json
import ssl
import sys
import time

import openai

TOKEN = " token"
WISH = "events=20 burst=1 gap=0.001 stamped=0"


def first_token(client: openai.OpenAI) -> float:
    """Of a call whose connection is closed after it."""
    began = time.perf_counter()
    first = 0.0
    for part in client.chat.completions.create(**ASKED):
        if not first and part.choices[0].delta.content:
            first = time.perf_counter() - began
    return first


def first_token_kept(client: openai.OpenAI) -> float:
    """Of a call that is read to the end."""
    began = time.perf_counter()
    first = 0.0
    with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        for line in response.iter_lines():
            if not first and TOKEN in line:
                first = time.perf_counter() - began
    return first


ASKED = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": WISH}]}

if __name__ == "__main__":
    url, ca, proxy, calls, connections = sys.argv[1:]
    trust = ssl.create_default_context(cafile=ca)
    http = openai.DefaultHttpxClient(proxy=proxy or None, verify=trust, trust_env=False)
    client = openai.OpenAI(base_url=url, api_key="sk-client-0123456789", http_client=http)
    measure = first_token_kept if connections == "kept" else first_token
    measure(client)  # its first call imports much
    print(json.dumps([measure(client) for _ in range(int(calls))]))
