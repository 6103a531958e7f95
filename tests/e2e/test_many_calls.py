"""mitmweb with ten thousand calls in its list, in a real browser: list and calls come at once."""

import os
import socket
from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.browser import PATIENCE, browser, picture
from tests.e2e.proxy import ADDON, ROOT, Proxy

CALLS = 10_000
AT_ONCE = 1.0
"""Seconds of a processor that the proxy takes for a page."""


def test_list_and_calls_come_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = ("--web-port", str(port), "--no-web-open-browser", "--set", "web_password=the-word")
    keys = {"RECORDED_CALLS": str(CALLS), "PYTHONPATH": str(ROOT)}
    script = Path(__file__).with_name("many_flows.py")
    proxy = Proxy(
        tmp_path, keys=keys, options=options, program="mitmweb", scripts=(ADDON, script), forked=False
    )
    with proxy, browser() as running:
        page = running.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE)
        began = used(proxy)
        page.goto(f"http://127.0.0.1:{port}/?token=the-word")
        rows = page.locator(".flow-table tbody tr", has_text="ok 12k>850")
        expect(rows.nth(5)).to_be_visible()
        listed = used(proxy)
        rows.nth(5).click()
        expect(page.locator(".flow-detail")).to_contain_text("messages (1)")
        opened = used(proxy)
        picture(page, "many-calls", tmp_path)
        assert rows.count() < 100  # of the others there is only room
    assert listed - began < AT_ONCE, f"{listed - began:.2f} s"
    assert opened - listed < AT_ONCE / 4


def used(proxy: Proxy) -> float:
    """Seconds of a processor that the proxy has taken until now: others may be at work on this machine."""
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
