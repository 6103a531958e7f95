"""Hooks of add-ons beside rotator are called as without it: who, in which order, and who no more."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.neighbour import ORDINARY
from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import ask, client, order, wait_order
from tests.vendor import VendorThread, chat_stream, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
CHAT = "https://api.openai.com/v1/chat/completions"
NEIGHBOUR = Path(__file__).with_name("neighbour.py")
CHANGED = "its handle_lifecycle is changed"
OTHER = """
from mitmproxy import ctx
name = "other"
def requestheaders(flow):
    if flow.request.host != "probe.test":
        ctx.master.addons.get("first")._says("requestheaders of the other script", flow)
"""

type Called = dict[str, list[str]]
"""By what was done before a call: the hooks of that call."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@contextmanager
def running(folder: Path, vendor: VendorThread, program: str, *, ordinary: bool) -> Iterator[Proxy]:
    folder.mkdir()
    web = ("--no-web-open-browser", "--set", "web_password=word", "--set", "web_port=0")
    keys = {"ONE": "sk-pool-one"} | ({ORDINARY: "yes"} if ordinary else {})
    with Proxy(
        folder,
        CONFIG.format(url=vendor.base_url),
        keys=keys,
        options=web if program == "mitmweb" else (),
        program=program,
        scripts=(NEIGHBOUR, ADDON),
    ) as proxy:
        if ordinary:
            proxy.wait_log(CHANGED)
        wait_order(proxy, lambda has: has == ordinary, "own_task")  # it listens a moment before it runs
        assert (CHANGED in proxy.log) == ordinary
        yield proxy


def called(proxy: Proxy, vendor: VendorThread, path: str = "") -> list[str]:
    """The hooks of one call on a connection of its own, and of the connection that asks for them."""
    vendor.on(path="/v1/chat/completions").reply(streamed(chat_stream(["a"])))
    order(proxy, "called")
    with client(proxy) as http:
        assert http.post(CHAT + path, content=ask()).status_code == (418 if path else 200)
    found: list[str] = order(proxy, "called")
    return found


def conversation(proxy: Proxy, vendor: VendorThread, other: Path) -> Called:
    steps: Called = {"at first": called(proxy, vendor)}
    for does in ("waits", "raises", "halts"):
        order(proxy, "add", does=does)
        steps[does] = called(proxy, vendor)
        order(proxy, "remove")
    steps["removed"] = called(proxy, vendor)
    order(proxy, "listen")
    steps["listens"] = called(proxy, vendor)
    for step in ("scripts", "scripts again"):
        order(proxy, "scripts", other=str(other))
        steps[step] = called(proxy, vendor)
    order(proxy, "option")
    steps["option"] = called(proxy, vendor, "?blocked")
    return steps


@pytest.mark.parametrize("program", ["mitmdump", "mitmweb"])
def test_neighbours_are_called_alike(tmp_path: Path, vendor: VendorThread, program: str) -> None:
    other = tmp_path / "other.py"
    other.write_text(OTHER)
    with running(tmp_path / "theirs", vendor, program, ordinary=True) as proxy:
        theirs = conversation(proxy, vendor, other)
    with running(tmp_path / "ours", vendor, program, ordinary=False) as proxy:
        ours = conversation(proxy, vendor, other)
        log = proxy.log
    assert ours == theirs
    assert ("waited" in ours["waits"], "raises" in ours["raises"], "halts" in ours["halts"]) == (
        True,
        True,
        True,
    )
    assert "last.http_connected" in ours["listens"]
    assert "first.requestheaders of the other script" in ours["scripts"]
    assert "first.requestheaders of the other script" not in ours["scripts again"]
    assert "Addon error: of the neighbour" in log
