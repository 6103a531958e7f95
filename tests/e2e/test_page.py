"""The page at http://rotator.local/ in a real browser that goes through the proxy, as a person sees it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from addons.pages.recent import LAST
from rewrite.records.verdict import Verdict
from tests.addons.entries import ended
from tests.addons.pages.bench import Bench
from tests.e2e.browser import PATIENCE, browser, picture
from tests.e2e.proxy import Proxy
from tests.e2e.served_pages import ServedPages
from tests.e2e.talk import Http1, ask, post, tunnel
from tests.vendor import Send, VendorThread, WaitFor, chat_error, chat_stream, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
rotation = "sequential"
credentials = [
  {{ name = "home", key = "env:ONE", windows = [{{ unit = "requests", limit = 10, per = 3600 }}] }},
  {{ name = "work", key = "env:TWO" }},
]
"""
KEYS = {"ONE": "sk-pool-number-one-0001", "TWO": "sk-pool-number-two-0002"}
HOST, CHAT = "api.openai.com", "/v1/chat/completions"
TEXT = chat_stream(["Hello", " there"])
LIMITED = chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "120"),))
MARKUP = "<img src=x onerror=document.title='owned'>"
VIEWS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone-light": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@contextmanager
def opened(chromium: Browser, url: str, proxy: Proxy | None = None, **options: Any) -> Iterator[Page]:
    """The page, once it is connected. It logs nothing."""
    if proxy is not None:
        options["proxy"] = {"server": proxy.url}
    context = chromium.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(url)
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE)
        yield page
        assert said == []
    finally:
        context.close()


def call(proxy: Proxy, model: str = "gpt-4o") -> None:
    """One, to its end."""
    with Http1(tunnel(proxy, HOST)) as us:
        us.send(post(CHAT, HOST, ask(model), []))
        us.until(b"[DONE]")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_call_is_seen_while_it_runs_and_when_it_is_over(
    chromium: Browser, proxy: Proxy, vendor: VendorThread, scheme: str
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("look"), *map(Send, TEXT[2:])))
    url = f"{scheme}://rotator.local/"
    with (
        opened(chromium, url, proxy, ignore_https_errors=True) as page,
        Http1(tunnel(proxy, HOST)) as us,
    ):
        expect(page.locator("#live-empty")).to_be_visible()
        us.send(post(CHAT, HOST, ask("gpt-4o"), []))
        us.until(b"Hello")
        row = page.locator("#live tbody tr")
        expect(row).to_contain_text("gpt-4o")
        expect(row).to_contain_text("openai / home")
        expect(row).to_contain_text("streams")
        vendor.release("look")
        us.until(b"[DONE]")
        expect(page.locator("#live-empty")).to_be_visible()
        expect(page.locator("#last tbody tr")).to_contain_text("ok")
        expect(page.locator(".chart").first.locator(".figure")).to_have_text("1")


def test_a_key_is_paused_and_resumed_by_the_keyboard(
    chromium: Browser, proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT))
    with opened(chromium, "http://rotator.local/", proxy) as page:
        key = page.locator(".key", has_text="home")
        expect(key.locator(".mark")).to_have_text("ready")
        key.get_by_role("button", name="Pause 10 min: home").focus()
        page.keyboard.press("Enter")
        expect(key.locator(".mark")).to_contain_text("limited for ")
        expect(page.locator("#said")).to_have_text("home is not used for 10 minutes.")
        call(proxy)
        expect(page.locator("#last tbody tr")).to_contain_text("openai / work")
        expect(key.get_by_role("button")).to_be_focused()
        page.keyboard.press("Enter")
        expect(key.locator(".mark")).to_have_text("ready")
        assert proxy.log.count("home is not used for 600 s") == 1


def test_why_a_key_does_not_serve_and_what_it_used_is_there(
    chromium: Browser, proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on(key=KEYS["ONE"]).reply(LIMITED)
    vendor.on(key=KEYS["TWO"]).reply(streamed(TEXT))
    with opened(chromium, "http://rotator.local/", proxy) as page:
        call(proxy)
        key = page.locator(".key", has_text="home")
        expect(key).to_contain_text("not for gpt-4o: 1:")
        expect(key).to_contain_text("of 10 requests used")
        row = page.locator("#last tbody tr")
        expect(row).to_contain_text("spare ×2")
        page.get_by_label("Only those where something happened").check()
        expect(row).to_have_count(1)


def test_what_clients_send_is_text_and_nothing_else(
    chromium: Browser, proxy: Proxy, vendor: VendorThread
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT))
    with opened(chromium, "http://rotator.local/", proxy) as page:
        call(proxy, MARKUP)
        expect(page.locator("#last tbody tr")).to_contain_text("<img src=x")
        assert page.locator("img").count() == 0
        expect(page.locator("#last .user").first).to_be_hidden()
        assert page.title() == "rotator"


class _Evil(BaseHTTPRequestHandler):
    """A site whose page tries what it can."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def evil() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://evil.localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


TRIES = """async () => {
  const found = [];
  const one = async (path, options) => {
    try {
      const answer = await fetch("http://rotator.local" + path, options);
      found.push(answer.type + answer.status);
    } catch {
      found.push("refused");
    }
  };
  await one("/status", {});
  await one("/", {});
  const body = '{"provider":"openai","name":"home","seconds":60}';
  await one("/cool", { method: "POST", body, headers: { "content-type": "application/json" } });
  await one("/cool", { method: "POST", body, mode: "no-cors" });
  await one("/status", { mode: "no-cors", referrerPolicy: "no-referrer" });
  const frame = document.createElement("iframe");
  frame.referrerPolicy = "no-referrer";
  frame.src = "http://rotator.local/";
  const loaded = new Promise((done) => { frame.onload = done; });
  document.body.append(frame);
  await loaded;
  try { found.push(frame.contentDocument ? "read" : "closed"); } catch { found.push("closed"); }
  return found;
}"""


def test_the_page_of_another_site_learns_and_does_nothing(chromium: Browser, proxy: Proxy, evil: str) -> None:
    context = chromium.new_context(proxy={"server": proxy.url})
    page = context.new_page()
    page.goto(evil)
    found = page.evaluate(TRIES)
    context.close()
    assert found[:3] == ["refused"] * 3
    assert set(found[3:5]) <= {"refused", "opaque0"}
    assert found[5] == "closed"
    assert "is not used for" not in proxy.log


def full() -> Bench:
    """What a busy day leaves."""
    bench = Bench(anthropic=["ANTHROPIC_API_KEY_1", "ANTHROPIC_API_KEY_2"], openai=["OPENAI_API_KEY"])
    bench.pool.cool("anthropic", "ANTHROPIC_API_KEY_2", 840)
    bench.ledger.configure(None)
    now, verdicts = time.time(), [*[Verdict.OK] * 20, *Verdict]
    for count in range(10_000):
        verdict = verdicts[count % len(verdicts)]
        attempts = 1 if verdict in (Verdict.OK, Verdict.LEFT) else 2
        first = 0.3 + count % 17 / 10
        entry = ended(
            at=now - (10_000 - count) * 8,
            model=f"claude-sonnet-{count % 5}",
            provider="anthropic",
            credential="ANTHROPIC_API_KEY_1",
            verdict=verdict,
            attempts=attempts,
            first_token=first,
            cost=0.01 * (count % 7),
            user=f"user-{count % 2}",
        )
        bench.recent.take([entry])
        bench.ledger.take([entry])
    return bench


def listed(chromium: Browser, url: str) -> float:
    """Milliseconds from asking for the page to the first call in its list."""
    with opened(chromium, url, viewport={"width": 1280, "height": 900}) as page:
        page.wait_for_selector("#last tbody tr")
        found: float = page.evaluate("performance.now()")
    return found


def test_ten_thousand_calls_are_shown_in_a_moment(chromium: Browser) -> None:
    bench = full()
    with ServedPages(bench) as served:
        assert min(listed(chromium, served.url) for _ in range(3)) < 1_000
        with opened(chromium, served.url) as page:
            expect(page.locator("#last tbody tr")).to_have_count(30)
            page.get_by_role("button", name="Show more").click()
            expect(page.locator("#last tbody tr")).to_have_count(200)
            assert page.evaluate("performance.memory.usedJSHeapSize") < 50 << 20
    assert len(bench.recent.last(10_000)) == LAST


@pytest.mark.parametrize("view", VIEWS)
def test_it_fits_each_screen(chromium: Browser, view: str, tmp_path: Path) -> None:
    with (
        ServedPages(full()) as served,
        opened(chromium, served.url, **VIEWS[view]) as page,
    ):
        expect(page.locator("#last tbody tr").first).to_be_visible()
        page.locator("label[for=range-week]").click()
        expect(page.locator(".chart").first.locator(".figure")).to_contain_text("10k")
        expect(page.locator("#models tbody tr")).to_have_count(5)
        expect(page.locator("#users tbody tr")).to_have_count(2)
        expect(page.locator("#last tbody tr").first).to_contain_text("user-1")
        page.locator("label[for=range-day]").click()
        expect(page.locator(".chart").first.locator(".figure")).to_contain_text("10k")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        picture(page, f"page-{view}", tmp_path)


def test_whether_the_state_is_shared(chromium: Browser) -> None:
    bench = Bench()
    bench.store = {"server": "cache:6379/0", "is_up": True, "proxies": 3, "commands": 1}
    with ServedPages(bench) as served:
        with opened(chromium, served.url) as page:
            expect(page.locator("#summary")).to_have_text("nothing under way · shared by 3 proxies")
        bench.store = {**bench.store, "is_up": False}
        with opened(chromium, served.url) as page:
            expect(page.locator("#summary")).to_contain_text("alone: the store that other proxies share")


def test_it_is_readable_by_those_who_do_not_see_it(chromium: Browser) -> None:
    with ServedPages(full()) as served, opened(chromium, served.url) as page:
        assert page.locator("html").get_attribute("lang") == "en"
        for title in ("Calls under way", "Keys", "Use", "Last calls"):
            expect(page.get_by_role("region", name=title)).to_have_count(1)
        chart = page.get_by_role("img").first
        assert "Calls, last 1 hour: " in (chart.get_attribute("aria-label") or "")
        chart.focus()
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".chart").first.locator(".note")).to_contain_text(":")
        names = page.locator("button").evaluate_all("all => all.map(one => one.textContent)")
        assert all(names)


CONTRAST = """() => {
  const luminance = (color) => {
    const [red, green, blue] = color.match(/[\\d.]+/g).slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backOf = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (!/, 0\\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.offsetParent || element.closest("svg")) continue;
    const both = [getComputedStyle(element).color, backOf(element)].map(luminance);
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) poor.push([element.className, element.textContent.slice(0, 30), ratio].join(" "));
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(chromium: Browser, scheme: str) -> None:
    """By WCAG 2.2, level AA: 4.5 to 1."""
    with ServedPages(full()) as served, opened(chromium, served.url, color_scheme=scheme) as page:
        expect(page.locator("#last tbody tr").first).to_be_visible()
        assert page.evaluate(CONTRAST) == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def test_it_is_in_mitmweb_too_for_who_has_its_password(
    chromium: Browser, vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT))
    port = free_port()
    options = ("--set", f"web_port={port}", "--no-web-open-browser", "--set", "web_password=open sesame")
    config = CONFIG.format(url=vendor.base_url)
    url = f"http://127.0.0.1:{port}/rotator"
    with Proxy(tmp_path, config, keys=KEYS, options=options, program="mitmweb") as proxy:
        context = chromium.new_context()
        page = context.new_page()
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == 403
        page.locator("input[name=token]").fill("open sesame")
        page.locator("input[type=submit]").click()
        expect(page.locator("#link")).to_have_text("live", timeout=PATIENCE)
        assert page.url == url
        call(proxy)
        expect(page.locator("#last tbody tr")).to_contain_text("openai / home")
        page.get_by_role("button", name="Pause 10 min: home").click()
        expect(page.locator(".key", has_text="home").locator(".mark")).to_contain_text("limited for ")
        assert context.request.get(f"{url}/status").ok
        assert httpx.get("http://rotator.local/status", proxy=proxy.url, trust_env=False).status_code == 200
        call(proxy)
        expect(page.locator("#last tbody tr")).to_have_count(2)
        flows = context.request.get(f"http://127.0.0.1:{port}/flows").json()
        assert {flow["request"]["host"] for flow in flows} == {HOST}  # its own pages are not among them
        refused = context.request.post(
            f"{url}/cool", data={"provider": "openai", "name": "work", "seconds": 9}
        )
        assert refused.status == 403  # without the page's token
        context.close()
        elsewhere = chromium.new_context()
        for path in ("/status", "/events", "/metrics", "/cool"):
            assert elsewhere.request.get(f"{url}{path}").status == 403
        elsewhere.close()
    assert "Traceback" not in proxy.log
