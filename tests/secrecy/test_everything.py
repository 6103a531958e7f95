"""No output of anything has a key in it: every command, page, view, log, ledger, trace and saved flow is made
with keys of every kind about, and searched."""

import gzip
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.company import CompanyProxy
from tests.e2e.test_mitmweb import Web
from tests.redis_server import WITHOUT, RedisServer
from tests.rewrite.oauth.logins import claude_file
from tests.secrecy.calls import OWN, all_calls, repeating
from tests.secrecy.home import COMPANY, KEYS, PATIENCE, USER, WEB, Home, awaited
from tests.secrecy.marks import holding, mark
from tests.vendor import Vendor, VendorThread, messages_error, whole

IN_FILE, PRINTED = f"sk-ant-{mark('file')}", f"sk-{mark('printed by a command')}"
ACCESS, REFRESH = f"sk-ant-oat01-{mark('access token')}", f"sk-ant-ort01-{mark('refresh token')}"
NEW, NEXT = f"sk-ant-oat01-{mark('new access token')}", f"sk-ant-ort01-{mark('new refresh token')}"
SOURCES = ("key.txt", ".claude/.credentials.json", "rotator.toml")
MARKS = {
    **{name: value for name, value in KEYS.items() if "," not in value},
    **dict(zip(("list 1", "list 2"), KEYS["MISTRAL_API_KEYS"].split(","), strict=True)),
    **OWN,
    "company": COMPANY.partition(":")[2],
    "proxyauth": USER.partition(":")[2],
    "mitmweb": WEB,
    "file": IN_FILE,
    "printed": PRINTED,
    "access": ACCESS,
    "refresh": REFRESH,
    "new": NEW,
    "next": NEXT,
}
CONFIG = """
[providers.openai]
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "team", key = "file:key.txt" }}]
[providers.gemini]
base_url = "{url}"
credentials = [{{ name = "vault", key = "cmd:printf %s {printed}" }}]
[providers.deepseek]
base_url = "{url}"
[providers.login]
base_url = "{url}"
hosts = ["login.test"]
protocols = ["anthropic_messages"]
credentials = [
  {{ name = "max", oauth = "claude", file = "~/.claude/.credentials.json", token_url = "{url}/token" }},
]
[[routes]]
match = {{ model = "claude-routed" }}
to = ["openai/gpt-5"]
[trace]
directory = "traces"
[report]
headers = true
"""
STATE = """
[state]
url = "{url}"
password = "env:STORE"
oauth_tokens = "shared"
key = "env:TOKENS"
[users.colleague]
requests = 1000
"""
BY = "provider,model,credential,user,day"
VIEWS = ("auto", "LLM", "As sent", "Transforms", "Raw", "JSON")
COMMANDS = (
    ("--version",),
    ("--help",),
    *(("env", "--shell", shell, "--unset") for shell in ("bash", "zsh", "fish", "powershell")),
    ("run", "--", "true"),
    ("run", "-p", "1", "--", "nosuch"),
    ("init",),
    ("init", "again.toml"),
    ("init", "again.toml", "--force"),
    ("check",),
    ("check", "--live"),
    ("check", "--config", "again.toml", "--live"),
    ("doctor",),
    ("status",),
    ("status", "--json"),
    *(("usage", "--by", BY, *form) for form in ((), ("--json",), ("--csv",), ("--chart",))),
    ("prices", "gpt-5"),
    ("trace", "list"),
    ("demo",),
)


@pytest.fixture
def provider() -> Iterator[VendorThread]:
    with VendorThread(Vendor(default=repeating)) as running:
        refused = messages_error(401, "authentication_error", f"{ACCESS} has expired")
        running.on(key=ACCESS).always(refused)
        granted = {"access_token": NEW, "refresh_token": NEXT, "expires_in": 28800}
        running.on(path="/token").reply(whole(json.dumps(granted).encode()))
        gone = {"error": "invalid_grant", "error_description": f"{NEXT} is gone"}
        running.on(path="/token").always(whole(json.dumps(gone).encode(), 400))
        yield running


@pytest.fixture(scope="module")
def company() -> Iterator[CompanyProxy]:
    with VendorThread(Vendor(tls=True, default=repeating)) as there, CompanyProxy(there.port) as running:
        yield running


def home(
    folder: Path,
    provider: VendorThread,
    company: CompanyProxy,
    *options: str,
    web: bool,
    more: str = "",
) -> Home:
    (folder / "key.txt").write_text(IN_FILE)
    (folder / "key.txt").chmod(0o600)
    (folder / ".claude").mkdir()
    login = folder / ".claude" / ".credentials.json"
    login.write_text(claude_file(ACCESS, REFRESH, int(time.time()) + 86400))
    login.chmod(0o600)
    config = CONFIG.format(url=provider.base_url, printed=PRINTED) + more
    saved = ("-w", str(folder / "flows"), "--set", "rotator_attempt_flows=true", "-v", *options)
    return Home(folder, config, company=company.port, web=web, options=saved)


@pytest.mark.parametrize("form", ["columns", "logfmt", "json"])
def test_no_file_that_is_written_has_a_key(
    form: str, provider: VendorThread, company: CompanyProxy, tmp_path: Path
) -> None:
    options = ("--set", f"rotator_log={form}", "--set", "rotator_quiet=false", "--set", "flow_detail=4")
    with home(tmp_path, provider, company, *options, web=False) as here:
        all_calls(here)
        here.await_log("gpt-realtime")
    files = here.files(*SOURCES)
    assert {"flows", "start.log", ".local/state/rotator/usage.sqlite"} <= files.keys()
    assert holding(files, MARKS) == []


@WITHOUT
def test_nothing_that_several_proxies_share_has_a_key(
    provider: VendorThread, company: CompanyProxy, tmp_path: Path
) -> None:
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis", "--requirepass", KEYS["STORE"]) as store:
        more = STATE.format(url=store.url)
        with (
            socket.create_connection(("127.0.0.1", store.port), PATIENCE) as watching,
            home(tmp_path, provider, company, web=False, more=more) as here,
        ):
            watching.sendall(f"AUTH {KEYS['STORE']}\r\nMONITOR\r\n".encode())
            here.await_log("state: shared with other proxies")
            all_calls(here)
            client = store.client(password=KEYS["STORE"])
            awaited(lambda: client.keys("*:day"), "usage in the store")
            here.run("status")
            here.stop()
            client.shutdown(nosave=True)
            asked = b"".join(iter(lambda: watching.recv(1 << 16), b""))
    assert b"login:" in asked
    assert holding({"store": asked, **here.outputs, **here.files(*SOURCES)}, MARKS) == []


def test_nothing_that_is_shown_has_a_key(
    provider: VendorThread, company: CompanyProxy, tmp_path: Path
) -> None:
    with home(tmp_path, provider, company, web=True) as here:
        all_calls(here)
        for command in COMMANDS:
            here.run(*command)
        for trace in (tmp_path / "traces").glob("*/*"):
            here.run("trace", "show", "--full", trace.name)
        here.run("trace", "diff", trace.name, "raw_request", "sent_request")
        here.run("statusline", said='{"session_id": "s", "model": {"id": "claude-opus"}}')
        pages(here)
        mitmweb(here)
    assert holding({**here.outputs, **here.files(*SOURCES)}, MARKS) == []


def test_the_lines_to_paste_have_the_password_that_tools_need_and_no_key(
    provider: VendorThread, company: CompanyProxy, tmp_path: Path
) -> None:
    with home(tmp_path, provider, company, web=False) as here:
        for shell in ("bash", "zsh", "fish", "powershell"):
            said = here.run("env", "--shell", shell).stdout
            assert f"http://{USER}@127.0.0.1:{here.port}" in said
    others = {carrier: value for carrier, value in MARKS.items() if carrier != "proxyauth"}
    assert holding(here.outputs, others) == []


@pytest.mark.parametrize("carrier", MARKS)
def test_a_key_is_found_wherever_it_is(carrier: str) -> None:
    """What the other tests rely on."""
    marks, data = {carrier: MARKS[carrier]}, MARKS[carrier].encode()
    coded = (b64encode(b":" + data), b64encode(b"ab" + data), b64encode(b"abc" + data), data.hex().encode())
    texts = {
        str(number): b"before " + text for number, text in enumerate((data, data.upper(), data[5:16], *coded))
    }
    texts["packed"] = gzip.compress(data)
    assert len(holding(texts, marks)) == len(texts)


def pages(here: Home) -> None:
    paths = ("/", "/status", f"/usage?by={BY}", "/metrics", "/health", "/probe")
    with here.client() as http:
        for path in (*paths, "/statusline?session=s&model=claude-opus"):
            here.keep(path, http.get(f"http://rotator.local{path}").raise_for_status().text)
        with http.stream("GET", "http://rotator.local/events") as events:
            lines = events.iter_lines()
            here.keep("/events", "\n".join(next(lines) for _ in range(9)))


def mitmweb(here: Home) -> None:
    web = Web(here.web_port, WEB)
    for path in ("/rotator", "/rotator/status", "/rotator/usage", "/events", "/flows", "/flows/dump"):
        here.keep(f"mitmweb{path}", web.text(path))
    for flow in web.flows():
        for part in ("request", "response"):
            for view in VIEWS:
                here.keep(f"{part} as {view}", web.text(f"/flows/{flow['id']}/{part}/content/{view}"))
    for command in ("status", "pools", "providers", "credentials"):
        here.keep(f"rotator.{command}", json.dumps(web.command(f"rotator.{command}")))
    web.close()
