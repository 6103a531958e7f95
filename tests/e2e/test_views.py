"""What a user sees of calls in a real mitmweb, in a real browser."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import PATIENCE, browser, picture
from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import client
from tests.vendor import SPEECHES, Said, VendorThread, chat_error, messages_error

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
credentials = [{{ name = "main", key = "env:ONE" }}, {{ name = "spare", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "team", key = "env:ANT" }}]
[[routes]]
match = {{ model = "claude-traced" }}
to = ["openai/gpt-5"]
adapters = [{{ name = "clamp_params", temperature = 1 }}]
trace = true
[[routes]]
match = {{ model = "claude-*" }}
to = ["openai/gpt-5"]
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two", "ANT": "sk-ant-pool-number-three"}
OWN = "sk-own-key-of-client"
CHAT, MESSAGES = "https://api.openai.com/v1/chat/completions", "https://api.anthropic.com/v1/messages"
SPEECH = SPEECHES["openai_chat"]
SAID = Said(("The weather ", "is fine."), ("I look it up.",))


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def web_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, web_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    options = (*("--web-port", str(web_port), "--no-web-open-browser", "--set", "web_password=the-word"),)
    folder, config = tmp_path_factory.mktemp("views"), CONFIG.format(url=vendor.base_url)
    with Proxy(folder, config, keys=KEYS, options=options, program="mitmweb") as running:
        yield running
    assert [word for word in (*KEYS.values(), "Traceback", "crashed") if word in running.log] == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def page(chromium: Browser, proxy: Proxy, web_port: int) -> Iterator[Page]:
    shown = chromium.new_page(viewport={"width": 1400, "height": 900})
    shown.set_default_timeout(PATIENCE)
    shown.goto(f"http://127.0.0.1:{web_port}/?token=the-word")
    yield shown
    shown.close()


def ask(model: str, **more: object) -> dict[str, object]:
    messages = [
        {"role": "system", "content": "You are a weather service.\nBe brief."},
        {"role": "user", "content": "How is the weather in Paris?"},
    ]
    tool = {
        "name": "get_weather",
        "description": "The weather of a city.\nMore.",
        "parameters": {"type": "object", "properties": {"city": {}, "unit": {}}, "required": ["city"]},
    }
    tools = [{"type": "function", "function": tool}]
    return {"model": model, "stream": True, "messages": messages, "tools": tools, **more}


def call(proxy: Proxy, url: str, **said: object) -> None:
    with client(proxy) as http:
        assert http.post(url, json=said, headers={"authorization": f"Bearer {OWN}"}).status_code == 200


def choose(page: Page, text: str) -> None:
    """The last flow of the list with such a text."""
    page.locator(".flow-table tbody tr", has_text=text).last.click()


def shown(page: Page, tab: str) -> Locator:
    """What is shown of the chosen flow there."""
    page.locator(".nav-tabs-sm a", has_text=tab).click()
    return page.locator(".flow-detail section")


def test_a_call_is_shown_as_what_was_asked_and_answered(
    proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(key=KEYS["ONE"]).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.always(SPEECH.stream(SAID, model="gpt-5"))
    call(proxy, CHAT, **ask("gpt-4o"))
    choose(page, "chat/completions")
    titles = page.locator(".flow-table th").all_inner_texts()
    assert [title for title in titles if title] == ["Path", "Status", "Comment", "Size", "Time"]
    request = shown(page, "Request")
    for text in ("get_weather(city, unit?): The weather of a city.", "user: How is the weather in Paris?"):
        expect(request).to_contain_text(text)
    expect(request.locator("h5")).to_have_text("LLM")
    picture(page, "llm-request", tmp_path)
    response = shown(page, "Response")
    for text in (
        "1 main: rejected(429 rate)",
        "2 spare: completed",
        "finish: stop",
        "- The weather is fine.",
    ):
        expect(response).to_contain_text(text)
    expect(response).not_to_contain_text("data:")
    picture(page, "llm-response", tmp_path)


def test_a_translated_call_says_what_was_not_sent(
    proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.always(SPEECH.stream(SAID, model="gpt-5"))
    messages = [{"role": "user", "content": "Hello"}]
    call(proxy, MESSAGES, model="claude-sonnet-4-5", max_tokens=99, top_k=3, stream=True, messages=messages)
    choose(page, "v1/messages")
    response = shown(page, "Response")
    for text in ("openai/gpt-5 openai_chat with", "top_k: OpenAI refuses it", "stop (end_turn)"):
        expect(response).to_contain_text(text)
    picture(page, "llm-translated", tmp_path)


def test_turns_of_a_websocket_are_shown(
    proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.always(SPEECHES["openai_responses"].stream(SAID, model="gpt-5"))
    with WebSocket(proxy, "api.openai.com", "/v1/responses", key=OWN) as us:
        us.turn(model="gpt-5", input="Hello")
        us.turn(model="gpt-5", input="And tomorrow?")
    choose(page, "v1/responses")
    messages = shown(page, "WebSocket")
    for text in (
        "user: And tomorrow?",
        "response.output_text.delta: is fine.",
        "- The weather is fine.",
        "asked: openai with",
    ):
        expect(messages).to_contain_text(text)
    picture(page, "llm-websocket", tmp_path)


def chosen_view(page: Page, name: str) -> Locator:
    """What another view than the default shows of the tab that is open."""
    page.locator(".contentview .controls a", has_text="View:").click()
    page.get_by_role("menuitem", name=name).or_(page.locator(".dropdown-menu a", has_text=name)).first.click()
    return page.locator(".flow-detail section")


def test_what_each_attempt_was_sent(proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path) -> None:
    vendor.always(SPEECH.stream(SAID, model="gpt-5"))
    messages = [{"role": "user", "content": "Hello"}]
    call(proxy, MESSAGES, model="claude-sonnet-4-5", max_tokens=77, stream=True, messages=messages)
    choose(page, "v1/messages")
    shown(page, "Request")
    sent = chosen_view(page, "as sent")
    for text in ("openai/gpt-5 (openai_chat) with", "/v1/chat/completions", '"max_completion_tokens": 77'):
        expect(sent).to_contain_text(text)
    picture(page, "as-sent", tmp_path)


@pytest.fixture
def every_attempt(proxy: Proxy, web_port: int) -> Iterator[None]:
    """Turned on in mitmweb while it runs."""
    set_option(web_port, rotator_attempt_flows=True)
    yield
    set_option(web_port, rotator_attempt_flows=False)


def set_option(web_port: int, **options: object) -> None:
    with web(web_port) as http:
        assert http.put("/options", json=options).status_code == 200


def web(web_port: int) -> httpx.Client:
    """What the page asks of."""
    token, base = "0" * 32, f"http://127.0.0.1:{web_port}"
    headers = {"authorization": "Bearer the-word", "x-xsrftoken": token}
    cookies = {"_xsrf": token, "_mitmproxy_xsrf": token}
    return httpx.Client(headers=headers, cookies=cookies, base_url=base, trust_env=False)


@pytest.mark.usefixtures("every_attempt")
def test_each_attempt_is_a_flow_of_its_own(
    proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(path="/v1/chat/completions").reply(chat_error(500, "server_error", "broken"))
    vendor.always(SPEECH.stream(SAID, model="gpt-5"))
    call(proxy, f"{CHAT}?several", **ask("gpt-4o"))
    rows = page.locator(".flow-table tbody tr", has_text="?several")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("attempt 1 of ")
    expect(rows.nth(1)).to_contain_text("500")
    rows.nth(2).click()
    answer = shown(page, "Response")
    expect(answer).to_contain_text("- The weather is fine.")
    picture(page, "attempts", tmp_path)


def test_what_became_of_a_traced_call(proxy: Proxy, page: Page, vendor: VendorThread, tmp_path: Path) -> None:
    vendor.always(SPEECH.stream(SAID, model="gpt-5"))
    messages = [{"role": "user", "content": "Hello"}]
    said = {"max_tokens": 77, "temperature": 2, "stream": True, "messages": messages}
    call(proxy, f"{MESSAGES}?untraced", model="claude-sonnet-4-5", **said)
    call(proxy, f"{MESSAGES}?traced", model="claude-traced", **said)
    choose(page, "?traced")
    shown(page, "Request")
    passes = chosen_view(page, "transforms")
    for text in ('- "model": "claude-traced"', '+ "model": "gpt-5"', "adapter:clamp_params", "sent_response"):
        expect(passes).to_contain_text(text)
    picture(page, "transforms", tmp_path)
    choose(page, "?untraced")
    shown(page, "Request")
    expect(chosen_view(page, "transforms")).to_contain_text("rotator.trace 5")


@pytest.mark.usefixtures("every_attempt")
def test_no_view_shows_a_key(proxy: Proxy, vendor: VendorThread, web_port: int) -> None:
    """Of all flows, of attempts too, and of a provider that echoes."""
    vendor.on(path="/v1/messages").reply(messages_error(500, "api_error", KEYS["ANT"]))
    speech = SPEECHES["anthropic_messages"]
    vendor.always(speech.stream(Said((KEYS["ANT"],)), model="haiku"))
    messages = [{"role": "user", "content": "Hi"}]
    call(proxy, f"{MESSAGES}?key={OWN}", model="haiku", max_tokens=9, stream=True, messages=messages)
    with web(web_port) as http:
        flows = http.get("/flows").json()
        shown = [http.get("/flows").text, http.get("/flows/dump").text]
        for flow in flows:
            for part in ("request", "response"):
                place = f"/flows/{flow['id']}/{part}/content"
                shown += [http.get(f"{place}/{view}").text for view in ("llm", "as%20sent", "transforms")]
    assert len(flows) >= 3
    assert [key for key in (*KEYS.values(), OWN) if key in "".join(shown)] == []
