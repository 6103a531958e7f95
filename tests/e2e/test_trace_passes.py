"""Which passes the folders of traces have after flows of every kind through a real proxy."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import ask, client
from tests.vendor import SPEECHES, Said, VendorThread, chat_stream, streamed, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[trace]
directory = "traces"
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two"}
HEADS = ["raw_request", "sent_request", "raw_response", "sent_response"]
CALL = ["raw_request", "parsed_request", "routing", "selection", "built_request", "sent_request"]
STREAM = ["raw_response", "stream_started", "stream_first_byte", "stream_first_visible"]
END = ["parsed_response", "sent_response", "stream_completed"]


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


def passes(folder: Path) -> list[list[str]]:
    """Of each trace, in the order in which they began; without those of the ready-made field rules."""
    files = sorted(folder.glob("*/*/transform_trace.jsonl"))
    found = [[json.loads(line)["pass"] for line in file.read_bytes().splitlines()] for file in files]
    return [[name for name in each if not name.startswith(("extraction_", "injection_"))] for each in found]


def test_a_call_and_what_is_passed_through(tmp_path: Path, vendor: VendorThread) -> None:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy, client(proxy) as talker:
        vendor.reply(streamed([b"".join(chat_stream(["Hello"]))]))
        talker.post("https://api.openai.com/v1/chat/completions", content=ask("gpt-4o"))
        vendor.reply(whole(b"{}"))
        talker.get("https://api.openai.com/v1/files")
    assert passes(tmp_path / "traces") == [[*CALL, *STREAM, *END], HEADS]


def test_each_turn_of_a_websocket_is_a_call(tmp_path: Path, vendor: VendorThread) -> None:
    """Its handshake is answered by us."""
    speech = SPEECHES["openai_responses"]
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config, keys=KEYS) as proxy, WebSocket(proxy, "api.openai.com") as socket:
        for _ in range(2):
            vendor.reply(speech.stream(Said(("Hello",)), model="gpt-4o"))
            socket.create(model="gpt-4o", input="Hi")
            while socket.event()["type"] != "response.completed":
                pass
    handshake, *turns = passes(tmp_path / "traces")
    assert handshake == ["raw_request", "sent_response"]
    assert [(turn[:6], turn[-3:]) for turn in turns] == [(CALL, END)] * 2
