"""Calls that carry a key in every way there is, and a provider that repeats each key that it gets."""

import json
import socket
from base64 import b64encode

import httpx

from tests.secrecy.home import KEYS, PATIENCE, USER, Home
from tests.secrecy.marks import mark
from tests.vendor import Received, Reply, chat_error, chat_stream, streamed, whole
from tests.vendor.defaults import default_answer

OWN = {
    "authorization": f"sk-own-{mark('authorization of the client')}",
    "x-api-key": f"sk-ant-own-{mark('x-api-key of the client')}",
    "query": f"AIza{mark('query of the client')}",
    "poolless": f"ds-{mark('key of a client that is not replaced')}",
    "unknown": f"un-{mark('key at a path that is unknown')}",
    "websocket": f"sk-{mark('subprotocol of the client')}",
}
"""By where the client has it."""

CHAT, MESSAGES = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:streamGenerateContent"
_AT_A_PATH = ("/v1/chat/completions", "/v1/messages")


def repeating(asked: Received) -> Reply:
    """What a provider answers that shows everybody the key that it was asked with."""
    key = asked.credential or "nothing"
    if key == KEYS["ONE"] and b"limit" in asked.body:
        headers = (("retry-after", "600"), ("x-key", key))
        return chat_error(429, "rate_limit_exceeded", f"{key} is too fast", headers)
    if asked.path.startswith("/v1/chat") and b"stream" in asked.body:
        return streamed([f": {key}\n\n".encode(), *chat_stream(["Your key is ", key])])
    if not asked.path.startswith(_AT_A_PATH) and "gemini" not in asked.path:
        return whole(json.dumps({"error": {"message": f"Incorrect API key provided: {key}"}}).encode(), 404)
    found = default_answer(asked)
    assert isinstance(found, Reply)
    return found


def ask(model: str, text: str = "Hi") -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": model, "stream": True, "max_tokens": 9, "messages": messages}).encode()


def all_calls(home: Home) -> None:
    """Each of them once."""
    bearer = {"authorization": f"Bearer {OWN['authorization']}"}
    by_header, by_query = {"x-api-key": OWN["x-api-key"]}, f"key={OWN['query']}"
    poolless = {"authorization": f"Bearer {OWN['poolless']}"}
    with home.client() as http:
        _post(http, CHAT, ask("gpt-5", "limit"), bearer)
        _post(http, CHAT, ask("gpt-5"), bearer)
        _post(http, MESSAGES, ask("claude-opus"), by_header)
        _post(http, MESSAGES, ask("claude-routed"), by_header)
        _post(http, f"{MESSAGES}?beta=true&api_{by_query}", ask("claude-opus"), {})
        _post(http, f"{GEMINI}?alt=sse&{by_query}", b'{"contents": [{"parts": [{"text": "Hi"}]}]}', {})
        _post(http, "https://api.deepseek.com/chat/completions", ask("x"), poolless, status=404)
        unknown = f"https://api.openai.com/v1/chat/completion?api_key={OWN['unknown']}"
        _post(http, unknown, b"{}", bearer, status=404)
        assert http.get("https://api.openai.com/v1/files", headers=bearer).status_code == 404
        _post(
            http, "https://login.test/v1/messages", ask("claude-opus"), {"user-agent": "claude-cli/2.1.329"}
        )
    _websocket(home)


def _post(http: httpx.Client, url: str, body: bytes, headers: dict[str, str], status: int = 200) -> None:
    answer = http.post(url, content=body, headers={"content-type": "application/json", **headers})
    assert answer.status_code == status, (url, answer.text)


def _websocket(home: Home) -> None:
    """As a web page opens one, with its key among the subprotocols."""
    login = b64encode(USER.encode()).decode()
    head = (
        "GET http://api.openai.com/v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: api.openai.com\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{OWN['websocket']}\r\n"
        f"Proxy-Authorization: Basic {login}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", home.port), PATIENCE) as us:
        us.settimeout(PATIENCE)
        us.sendall(head.encode())
        assert us.recv(12) == b"HTTP/1.1 404"
