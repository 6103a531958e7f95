"""Makes docs/pictures again: the page after a busy day, and a call in mitmweb. `python -m tests.pictures`

Its calls and keys are invented. It needs a Chromium on PATH.
"""

import math
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect

from addons.call.live import LiveCall
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens
from tests.addons.entries import ended
from tests.addons.pages.bench import Bench
from tests.e2e.browser import PATIENCE, browser
from tests.e2e.proxy import Proxy
from tests.e2e.served_pages import ServedPages
from tests.e2e.talk import client
from tests.test_scripts import free_port
from tests.vendor import SPEECHES, Reset, Said, VendorThread, chat_error, chat_stream, streamed

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
TALL = ViewportSize(width=1200, height=900)
LOW = ViewportSize(width=1200, height=700)
MODELS = (
    ("anthropic", "claude-opus-4-5", "work", 6),
    ("anthropic", "claude-haiku-4-5", "work", 3),
    ("openai", "gpt-5", "main", 2),
    ("gemini", "gemini-3-pro", "lab", 1),
)
"""Provider, model, key, and its share of the calls."""
NEWS = (Verdict.SPARE, Verdict.RETRIED, Verdict.FALLBACK, Verdict.CONTINUED, Verdict.TRUNCATED)
CONFIG = """
[providers.openai]
base_url = "{url}"
rotation = "sequential"
credentials = [{{ name = "main", key = "env:ONE" }}, {{ name = "spare", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "work", key = "env:ANT" }}]
[[routes]]
match = {{ model = "claude-*" }}
to = ["openai/gpt-5"]
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two", "ANT": "sk-ant-pool-number-three"}
CHAT, MESSAGES = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"


def day(now: float) -> Iterator[CallEntry]:
    """The calls of a day, oldest first: most of them while people work."""
    chance = random.Random(7)
    for minute in range(24 * 60, 0, -1):
        busy = 0.04 + 0.5 * max(0.0, math.sin((24 * 60 - minute) / 24 / 60 * 3 * math.pi)) ** 2
        if chance.random() < busy:
            yield one(now - minute * 60, chance)


def one(at: float, chance: random.Random) -> CallEntry:
    """A call that ended then."""
    (model,) = chance.choices(MODELS, [each[-1] for each in MODELS])
    verdict = chance.choice(NEWS) if chance.random() < 0.1 else Verdict.OK
    prompt, output = chance.randrange(4_000, 60_000), chance.randrange(200, 1_800)
    first = chance.lognormvariate(0.2, 0.5)
    return ended(
        at=at,
        call=f"{chance.randrange(1 << 32):08x}",
        provider=model[0],
        model=model[1],
        served=model[1],
        credential="spare" if verdict is Verdict.SPARE else model[2],
        verdict=verdict,
        attempts=1 if verdict is Verdict.OK else 2,
        first_token=first,
        seconds=first + output / 70,
        tokens=Tokens(input=prompt // 9, cache_read=prompt * 8 // 9, output=output),
        cost=prompt * 1e-6 + output * 15e-6,
    )


def busy_bench(now: float) -> Bench:
    bench = Bench(anthropic=["work", "spare"], openai=["main"], gemini=["lab"])
    bench.ledger.configure(None)
    bench.pool.cool("anthropic", "work", 840)
    for entry in day(now):
        bench.recent.take([entry])
        bench.ledger.take([entry])
    bench.live.extend(
        [
            LiveCall("5e05613d", "anthropic", "claude-opus-4-5", "spare", 14.2, "streams", "", None, 2, ""),
            LiveCall("739b91e3", "gemini", "gemini-3-pro", "", 3.1, "waits", "lab: 429 rate", 4.0, 1, ""),
        ]
    )
    return bench


def page(chromium: Browser) -> None:
    with ServedPages(busy_bench(time.time())) as served:
        shown = chromium.new_page(viewport=TALL, color_scheme="light")
        shown.goto(served.url)
        shown.locator("label[for=range-day]").click()
        expect(shown.locator("#models tbody tr")).to_have_count(len(MODELS), timeout=PATIENCE)
        shown.screenshot(path=FOLDER / "page.png")
        shown.close()


def calls(proxy: Proxy, vendor: VendorThread) -> None:
    """Some that go straight, and some that do not: by a spare key, by a route, and cut."""
    speech, said = SPEECHES["openai_chat"], Said(("The weather in Paris ", "is fine: 21 degrees."))
    user = {"role": "user", "content": "How is the weather in Paris?"}
    asked = {"model": "gpt-5", "stream": True, "messages": [{"role": "system", "content": "Be brief."}, user]}
    translated = {"model": "claude-opus-4-5", "max_tokens": 999, "stream": True, "messages": [user]}
    with client(proxy) as http:
        vendor.always(speech.stream(said, model="gpt-5"))
        http.post(CHAT, json=asked)
        http.post(MESSAGES, json={**translated, "top_k": 3})
        vendor.on(key=KEYS["ONE"]).reply(streamed(chat_stream(["The weather "])[:2], Reset()))
        http.post(CHAT, json=asked)
        vendor.on(key=KEYS["ONE"]).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
        http.post(CHAT, json=asked)


def mitmweb(chromium: Browser, vendor: VendorThread, folder: Path) -> None:
    port = free_port()
    options = ("--web-port", str(port), "--no-web-open-browser", "--set", "web_password=x")
    with Proxy(
        folder, CONFIG.format(url=vendor.base_url), keys=KEYS, options=options, program="mitmweb"
    ) as proxy:
        calls(proxy, vendor)
        shown = chromium.new_page(viewport=LOW, color_scheme="light")
        shown.set_default_timeout(PATIENCE)
        shown.goto(f"http://127.0.0.1:{port}/?token=x")
        shown.locator(".flow-table tbody tr", has_text="chat/completions").last.click()
        shown.locator(".nav-tabs-sm a", has_text="Response").click()
        expect(shown.locator(".flow-detail section")).to_contain_text("finish: stop")
        shown.screenshot(path=FOLDER / "mitmweb.png")
        shown.close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with browser() as chromium, VendorThread() as vendor, tempfile.TemporaryDirectory() as folder:
        page(chromium)
        mitmweb(chromium, vendor, Path(folder))


if __name__ == "__main__":
    main()
