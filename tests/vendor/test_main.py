"""The faults known by name, and the provider one starts by hand."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.vendor import (
    Answer,
    Received,
    Vendor,
)
from tests.vendor.__main__ import failing, masked
from tests.vendor.defaults import FAULTS, asked

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds; it bounds a failing test, no passing one


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["429", "401", "500"])
async def test_a_rejection_by_name(fault: str, stream: bool, path: str) -> None:
    async with Vendor(default=_Failing(fault)) as vendor, httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(vendor.base_url + path, json={"stream": stream})
    assert response.status_code == int(fault)
    assert ("retry-after" in response.headers) is (fault == "429")
    assert ("code" in response.json()["error"]) is ("chat" in path)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["cut", "cut-tool"])
async def test_a_cut_by_name(fault: str, stream: bool, path: str) -> None:
    async with Vendor(default=_Failing(fault)) as vendor, httpx.AsyncClient(trust_env=False) as client:
        body = bytearray()
        async with client.stream("POST", vendor.base_url + path, json={"stream": stream}) as response:
            with pytest.raises(httpx.ReadError):
                await _collect(response, body)
    assert body
    assert b"[DONE]" not in body
    assert b"message_stop" not in body


@pytest.mark.parametrize(("fault", "head"), [("stall", True), ("hang", False)])
async def test_a_silence_by_name(fault: str, head: bool) -> None:
    body = b'{"stream":true}'
    async with Vendor(default=_Failing(fault)) as vendor:
        reader, writer = await asyncio.open_connection("127.0.0.1", vendor.port)
        writer.write(b"POST /v1/messages HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        [received] = await vendor.wait_requests(1)
        shown = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE) if head else b""
        writer.close()
        await asyncio.wait_for(received.closed_by_client.wait(), PATIENCE)
        assert (received.sent, await reader.read()) == (len(shown), b"")


class _Failing:
    def __init__(self, fault: str) -> None:
        self._fault = fault

    def __call__(self, received: Received) -> Answer:
        call = asked(received)
        assert call is not None
        return FAULTS[self._fault](call)


async def _collect(response: httpx.Response, into: bytearray) -> None:
    async for piece in response.aiter_raw():
        into += piece


@contextlib.contextmanager
def _by_hand(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [str(ROOT / "scripts" / "vendor"), "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split("listening on ")[1].strip()
        finally:
            process.send_signal(signal.SIGTERM)


def _ask(url: str, path: str, key: str, *, stream: bool = True) -> tuple[int, str, bool]:
    """Status, text so far, whether the body was cut."""
    headers = {"authorization": f"Bearer {key}"}
    text, timeout = "", httpx.Timeout(30.0)
    with (
        httpx.Client(trust_env=False, timeout=timeout) as client,
        client.stream("POST", url + path, headers=headers, json={"model": "m", "stream": stream}) as response,
    ):
        try:
            for piece in response.iter_text():
                text += piece
        except httpx.TransportError:
            return response.status_code, text, True
    return response.status_code, text, False


def test_a_rotation_can_be_seen_by_hand() -> None:
    chat, messages = "/v1/chat/completions", "/v1/messages"
    failing_keys = {
        "sk-test-aaaa": "429",
        "sk-test-bbbb": "cut",
        "sk-test-cccc": "cut-tool",
        "sk-test-dddd": "401",
    }
    arguments = [word for key, fault in failing_keys.items() for word in ("--fail", f"{key}={fault}")]
    with _by_hand(*arguments, "--pause", "0.001") as (process, url):
        assert _ask(url, chat, "sk-test-aaaa")[0] == 429
        status, text, cut = _ask(url, chat, "sk-test-bbbb")
        assert (status, cut, "[DONE]" in text) == (200, True, False)
        status, text, cut = _ask(url, messages, "sk-test-cccc")
        assert (status, cut, "input_json_delta" in text, "message_stop" in text) == (200, True, True, False)
        assert _ask(url, messages, "sk-test-dddd")[0] == 401
        status, text, cut = _ask(url, chat, "sk-test-eeee")
        assert (status, cut, text.endswith("[DONE]\n\n")) == (200, False, True)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        assert process.wait(PATIENCE) == 0
    assert lines == [
        "#1 POST /v1/chat/completions ...aaaa -> 429",
        "#2 POST /v1/chat/completions ...bbbb -> cut",
        "#3 POST /v1/messages ...cccc -> cut-tool",
        "#4 POST /v1/messages ...dddd -> 401",
        "#5 POST /v1/chat/completions ...eeee -> ok",
    ]


@pytest.mark.parametrize("text", ["sk-one", "=429", "sk-one=unheard-of"])
def test_an_unknown_fault_is_refused(text: str) -> None:
    command = [sys.executable, "-m", "tests.vendor", "--port", "0", "--fail", text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected KEY=FAULT" in done.stderr


def test_a_key_may_contain_equal_signs() -> None:
    assert failing("a=b==cut") == ("a=b=", "cut")


@pytest.mark.parametrize(("key", "shown"), [("sk-abcdefgh", "...efgh"), ("abcd", "..."), ("", "(no key)")])
def test_a_key_is_masked(key: str, shown: str) -> None:
    assert masked(key) == shown
