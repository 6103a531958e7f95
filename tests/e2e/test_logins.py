"""Logins of tools behind real proxies: refreshed once, shared with the tool and with another proxy."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.e2e.talk import PATIENCE, ask, client, tunnel
from tests.rewrite.oauth.logins import (
    antigravity_file,
    claude_file,
    codex_file,
    copilot_file,
    gemini_file,
    generic_file,
)
from tests.vendor import (
    Received,
    Reply,
    VendorThread,
    WaitFor,
    messages_error,
    messages_stream,
    streamed,
    whole,
)
from tests.vendor.responses import responses_stream

CONFIG = """
[providers.anthropic]
base_url = "{url}"
replace_oauth = true
credentials = [
  {{ name = "max-1", oauth = "claude", file = "{folder}/claude.json", token_url = "{url}/token" }},
]
[providers.chatgpt]
base_url = "{url}"
replace_oauth = true
credentials = [
  {{ name = "plus-1", oauth = "codex", file = "{folder}/codex.json", token_url = "{url}/token" }},
]
[providers.mine]
base_url = "{url}"
hosts = ["mine.test"]
protocols = ["anthropic_messages"]
credentials = [
  {{ name = "one", oauth = "generic", file = "../generic.json", client_id = "c", token_url = "{url}/token" }},
]
[providers.mixed]
base_url = "{url}"
hosts = ["mixed.test"]
protocols = ["anthropic_messages"]
credentials = [
  {{ name = "login", oauth = "claude", file = "{folder}/claude.json", token_url = "{url}/token" }},
  {{ name = "key", key = "env:KEY" }},
]
"""
CODE_ASSIST = """
[providers.code_assist]
base_url = "{url}"
replace_oauth = true
credentials = [
  {{ name = "gemini", oauth = "gemini", file = "../gemini.json", token_url = "{url}/token" }},
]
[providers.antigravity]
base_url = "{url}"
replace_oauth = true
credentials = [
  {{ name = "a", oauth = "antigravity", file = "../agy.json", token_url = "{url}/token", any_client = true }},
]
[providers.github_copilot]
base_url = "{url}"
replace_oauth = true
credentials = [
  {{ name = "gh", oauth = "copilot", file = "../copilot.json", token_url = "{url}/short" }},
]
[[routes]]
match = {{ provider = "anthropic" }}
to = ["antigravity/gemini-3.1-pro"]
[[routes]]
match = {{ provider = "gemini" }}
to = ["antigravity/gemini-3.1-pro"]
"""
ACCOUNT = """
[[providers.mixed.field_cache]]
name = "account"
source = "response"
path = "x_account"
scope = ["credential"]
inject = { path = "x_account" }
"""
TRACED = """
[trace]
directory = "../traces"
"""
KEY = "sk-pool-key-of-the-mixed-one"
MESSAGES = "/v1/messages"
CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, cli)", "anthropic-beta": "claude-code-20250219"}
OWN = {**CLAUDE, "authorization": "Bearer sk-ant-oat01-the-own-token-of-the-tool"}
BODY = json.dumps(
    {
        "model": "claude-sonnet-5",
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
)
CODEX_BODY = json.dumps({"model": "gpt-5", "input": "Hi", "stream": True})
ASIDE = ("/token", "/short", "/v1internal:loadCodeAssist")
SENT = ("sent_request", "raw_response")
SOON = 60
"""Seconds until the tokens of the files end: they are due."""


def granted(access: str = "new-access-token-of-the-login", refresh: str = "new-refresh-token") -> Reply:
    answer = {"access_token": access, "refresh_token": refresh, "expires_in": 28800}
    return whole(json.dumps(answer).encode())


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        running.on(path=MESSAGES).always(streamed(messages_stream(["Hello"])))
        running.on(path="/backend-api/codex/responses").always(streamed(responses_stream(["Hello"])))
        yield running


class House:
    """Proxies over one folder of logins."""

    def __init__(self, folder: Path, vendor: VendorThread) -> None:
        self.folder, self.vendor = folder, vendor

    def write(self, name: str, text: str) -> None:
        """As a tool does that writes a file again."""
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.chmod(0o600)
        new.replace(self.folder / f"{name}.json")

    def proxy(self, number: int = 1, *, any_client: bool = False, more: str = "") -> Proxy:
        """`more` of a config."""
        folder = self.folder / f"proxy-{number}"
        folder.mkdir()
        config = CONFIG.replace("token_url", "any_client = true, token_url") if any_client else CONFIG
        config = config.format(url=self.vendor.base_url, folder=self.folder)
        return Proxy(folder, config + more, keys={"KEY": KEY})

    def code_assist(self) -> Proxy:
        """A proxy for logins that name a project, and for one that is exchanged."""
        late = int(time.time()) + 86400
        self.write("gemini", gemini_file("access-token-of-gemini", at=late))
        self.write("agy", antigravity_file("access-token-of-antigravity", at=late))
        self.write("copilot", copilot_file("gho_token-of-github"))
        folder = self.folder / "proxy"
        folder.mkdir()
        return Proxy(folder, CODE_ASSIST.format(url=self.vendor.base_url))

    def calls(self) -> list[Received]:
        return [one for one in self.vendor.requests if one.path not in ASIDE]

    def refreshes(self) -> list[Received]:
        return [one for one in self.vendor.requests if one.path == "/token"]

    def login(self, name: str = "claude") -> dict[str, str]:
        """The tokens in a file."""
        found = json.loads((self.folder / f"{name}.json").read_text())
        tokens: dict[str, str] = found["claudeAiOauth" if name == "claude" else "tokens"]
        return tokens


@pytest.fixture
def house(tmp_path: Path, vendor: VendorThread) -> House:
    house = House(tmp_path, vendor)
    late = int(time.time()) + 86400
    house.write("claude", claude_file("the-access-token-of-claude", at=late))
    house.write("codex", codex_file(at=late))
    house.write("generic", generic_file("the-access-token-of-mine", at=late))
    return house


def due(house: House) -> None:
    house.write("claude", claude_file("the-access-token-of-claude", at=int(time.time()) + SOON))


def post(proxy: Proxy, host: str = "api.anthropic.com", headers: dict[str, str] = OWN) -> httpx.Response:
    with client(proxy) as http:
        return http.post(f"https://{host}{MESSAGES}", headers=headers, content=BODY)


def test_a_tool_s_call_leaves_with_the_login_and_its_own_headers(house: House) -> None:
    with house.proxy() as proxy:
        assert "Hello" in post(proxy).text
    (call,) = house.calls()
    assert call.header("authorization") == "Bearer the-access-token-of-claude"
    assert call.header("anthropic-beta") == "claude-code-20250219,oauth-2025-04-20"
    assert call.header("user-agent") == CLAUDE["user-agent"]
    assert call.body.decode() == BODY
    assert not house.refreshes()


def test_a_key_of_the_tool_is_replaced_by_a_bearer(house: House) -> None:
    with house.proxy() as proxy:
        post(proxy, headers={**CLAUDE, "x-api-key": "sk-ant-a-dummy"})
    (call,) = house.calls()
    assert call.header("authorization") == "Bearer the-access-token-of-claude"
    assert call.header("x-api-key") is None


def test_a_login_of_chatgpt_names_its_account(house: House) -> None:
    own = {
        "authorization": "Bearer own",
        "chatgpt-account-id": "of-the-client",
        "user-agent": "codex_exec/0.169",
    }
    with house.proxy() as proxy, client(proxy) as http:
        answer = http.post("https://chatgpt.com/backend-api/codex/responses", headers=own, content=CODEX_BODY)
    assert answer.status_code == 200
    (call,) = house.calls()
    assert call.header("chatgpt-account-id") == "account-1"
    assert call.credential == house.login("codex")["access_token"]


def test_calls_of_other_programs_keep_their_own_key(house: House) -> None:
    with house.proxy() as proxy:
        post(proxy, headers={"x-api-key": "sk-ant-the-own-key", "user-agent": "Anthropic/Python 1.17"})
        post(proxy, "mixed.test", {"x-api-key": "sk-ant-the-own-key", "user-agent": "Anthropic/Python 1.17"})
        nobody = post(proxy, headers={"user-agent": "Anthropic/Python 1.17"})
    assert [one.credential for one in house.calls()] == ["sk-ant-the-own-key", KEY]
    assert nobody.status_code >= 400
    assert "max-1 is a login of claude and serves its calls alone" in nobody.text


def test_twenty_calls_at_once_refresh_once_across_two_proxies(house: House) -> None:
    due(house)
    reply = granted()
    house.vendor.on(path="/token").always(
        Reply(reply.status, reply.headers, reply.steps, reply.framing, before=(WaitFor("all are here"),))
    )
    with ExitStack() as stack:
        proxies = [stack.enter_context(house.proxy(number)) for number in (1, 2)]
        workers = stack.enter_context(ThreadPoolExecutor(20))
        answers = [workers.submit(post, proxies[number % 2]) for number in range(20)]
        house.vendor.wait_gate("all are here")
        house.vendor.release("all are here")
        assert [each.result(PATIENCE * 2).status_code for each in answers] == [200] * 20
        logs = [proxy.log for proxy in proxies]
    assert {one.credential for one in house.calls()} == {"new-access-token-of-the-login"}
    (refresh,) = house.refreshes()
    assert refresh.json()["scope"] == "user:inference user:profile"
    assert (house.login()["accessToken"], house.login()["refreshToken"]) == (
        "new-access-token-of-the-login",
        "new-refresh-token",
    )
    assert not any("new-access" in log or "new-refresh" in log for log in logs)


def test_what_the_tool_refreshes_is_adopted(house: House) -> None:
    with house.proxy() as proxy:
        post(proxy)
        house.write("claude", claude_file("by-the-tool-itself", "next", int(time.time()) + 86400))
        post(proxy)
    assert [one.credential for one in house.calls()] == ["the-access-token-of-claude", "by-the-tool-itself"]
    assert not house.refreshes()


def test_a_refused_token_is_refreshed_and_the_call_asked_again(house: House) -> None:
    """The client sees nothing of it, and the credential does not rest."""
    refused = messages_error(401, "authentication_error", "OAuth token has expired")
    house.vendor.on(key="the-access-token-of-claude").always(refused)
    house.vendor.on(path="/token").reply(granted())
    with house.proxy() as proxy:
        assert [post(proxy).status_code for _ in range(2)] == [200, 200]
        log = proxy.log
    new = "new-access-token-of-the-login"
    assert [one.credential for one in house.calls()] == ["the-access-token-of-claude", new, new]
    assert len(house.refreshes()) == 1
    assert 'attempts="max-1:completed"' in log or "attempts=max-1:completed" in log
    assert "refused" not in log


def test_the_refusal_of_a_token_is_in_the_trace(house: House) -> None:
    """And nothing of either token."""
    refused = messages_error(401, "authentication_error", "OAuth token has expired")
    house.vendor.on(key="the-access-token-of-claude").always(refused)
    house.vendor.on(path="/token").reply(granted())
    with house.proxy(more=TRACED) as proxy:
        assert post(proxy).status_code == 200
    (file,) = house.folder.glob("traces/*/*/transform_trace.jsonl")
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    upstream = [line for line in lines if line["pass"] in ("sent_request", "raw_response", "retry")]
    assert [line["pass"] for line in upstream] == [*["sent_request", "raw_response", "retry"], *SENT]
    assert {line["attempt"] for line in upstream} == {1}
    first, second = (line["data"] for line in upstream if line["pass"] == "raw_response")
    assert (first["status"], second["status"]) == (401, 200)
    assert "OAuth token has expired" in json.dumps(first["body"])
    written = b"".join(each.read_bytes() for each in house.folder.rglob("traces/*/*/*"))
    assert b"the-access-token-of-claude" not in written
    assert b"new-access-token" not in written


def test_what_is_kept_for_a_login_is_kept_for_its_next_token_and_for_no_other_credential(
    house: House,
) -> None:
    def asked(account: str) -> None:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
        said = {**message, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
        house.vendor.on(path=MESSAGES).reply(whole(json.dumps({**said, "x_account": account}).encode()))
        with client(proxy) as http:
            body = {**json.loads(BODY), "stream": False}
            answer = http.post(f"https://mixed.test{MESSAGES}", headers=OWN, json=body)
        assert answer.json()["x_account"] == account

    new = "the-next-token-of-claude"
    limited = messages_error(429, "rate_limit_error", "slow down")
    with house.proxy(more=ACCOUNT) as proxy:
        asked("of the login")
        house.write("claude", claude_file(new, "next", int(time.time()) + 86400))
        asked("of the login, later")
        house.vendor.on(key=new).reply(limited)
        asked("of the key")
        asked("of the key, later")
    had = [(one.credential, one.json().get("x_account")) for one in house.calls()]
    assert had == [
        ("the-access-token-of-claude", None),
        (new, "of the login"),
        (new, "of the login, later"),
        (KEY, None),
        (KEY, "of the key"),
    ]


def test_an_sdk_sees_nothing_of_a_refresh_where_it_may_use_the_login(house: House) -> None:
    refused = messages_error(401, "authentication_error", "OAuth token has expired")
    house.vendor.on(key="the-access-token-of-claude").always(refused)
    house.vendor.on(path="/token").reply(granted())
    with house.proxy(any_client=True) as proxy:
        environment, request = proxy.environment(), {"stream": True, "model": "claude-sonnet-5"}
        result = sdk.run("anthropic-current", "anthropic_messages", environment, calls=2, request=request)
    assert result["error"] is None
    new = "new-access-token-of-the-login"
    assert [one.credential for one in house.calls()] == ["the-access-token-of-claude", new, new]
    assert all(one.header("anthropic-beta") == "oauth-2025-04-20" for one in house.calls())
    assert all(one.header("x-api-key") is None for one in house.calls())


def test_a_token_that_is_refused_twice_rests(house: House) -> None:
    refused = messages_error(401, "authentication_error", "OAuth token has been revoked")
    house.vendor.on(path=MESSAGES).always(refused)
    house.vendor.on(path="/token").always(granted())
    with house.proxy() as proxy:
        answers = [post(proxy) for _ in range(2)]
        proxy.wait_log("anthropic/max-1 was refused (401 authentication_error")
    assert [each.status_code for each in answers] == [401, 401]
    assert "revoked" in answers[0].text
    assert (len(house.calls()), len(house.refreshes())) == (2, 1)


def test_a_dead_login_rests_with_a_line_that_says_how_to_log_in_again(house: House) -> None:
    due(house)
    gone = whole(
        b'{"error": "invalid_grant", "error_description": "Refresh token not found or invalid"}', 400
    )
    house.vendor.on(path="/token").always(gone)
    with house.proxy() as proxy:
        answers = [post(proxy) for _ in range(3)]
        log = proxy.wait_log("anthropic/max-1 was refused")
        assert "run claude and type /login" in log
        assert "invalid_grant: Refresh token not found or invalid" in log
        assert [each.status_code for each in answers] == [401] * 3
        assert "run claude and type /login" in answers[0].text
        assert (len(house.calls()), len(house.refreshes())) == (0, 1)
        house.write("claude", claude_file("logged-in-again", "another", int(time.time()) + 86400))
        until(lambda: post(proxy).status_code == 200)
    assert [one.credential for one in house.calls()] == ["logged-in-again"]
    assert len(house.refreshes()) == 1


def test_a_dead_login_beside_a_key_costs_nothing(house: House) -> None:
    due(house)
    house.vendor.on(path="/token").always(whole(b'{"error": "invalid_grant"}', 400))
    with house.proxy() as proxy:
        assert [post(proxy, "mixed.test", CLAUDE).status_code for _ in range(2)] == [200, 200]
    assert [one.credential for one in house.calls()] == [KEY, KEY]
    assert len(house.refreshes()) == 1


def test_an_endpoint_that_is_down_is_an_error_of_its_own(house: House) -> None:
    house.write("generic", generic_file("old-access-of-mine", at=int(time.time()) - 1))
    house.vendor.on(path="/token").always(whole(b"{}", 500))
    with house.proxy() as proxy:
        answer = post(proxy, "mixed.test", CLAUDE)
        assert answer.status_code == 200
        answer = post(proxy, "mine.test", {})
    assert answer.status_code == 503
    assert "the login could not be renewed (500)" in answer.text


def test_a_client_that_leaves_does_not_end_a_refresh(house: House) -> None:
    due(house)
    reply = granted()
    house.vendor.on(path="/token").always(
        Reply(reply.status, reply.headers, reply.steps, reply.framing, before=(WaitFor("late"),))
    )
    with house.proxy() as proxy:
        with tunnel(proxy, "api.anthropic.com") as raw:
            head = f"POST {MESSAGES} HTTP/1.1\r\nHost: api.anthropic.com\r\nContent-Length: {len(BODY)}\r\n"
            named = "".join(f"{name}: {value}\r\n" for name, value in OWN.items())
            raw.sendall(f"{head}{named}\r\n{BODY}".encode())
            house.vendor.wait_gate("late")
        house.vendor.release("late")
        until(lambda: house.login()["accessToken"] == "new-access-token-of-the-login")
        proxy.wait_log("end=abandoned")
    assert house.calls() == []


def test_a_proxy_that_is_stopped_finishes_a_refresh(house: House) -> None:
    due(house)
    reply = granted()
    house.vendor.on(path="/token").always(
        Reply(reply.status, reply.headers, reply.steps, reply.framing, before=(WaitFor("late"),))
    )
    proxy = house.proxy().start()
    with ThreadPoolExecutor(1) as worker:
        call = worker.submit(post, proxy)
        house.vendor.wait_gate("late")
        proxy.process.send_signal(signal.SIGINT)
        house.vendor.release("late")
        proxy.wait_exit()
        call.exception(PATIENCE)
    assert house.login()["accessToken"] == "new-access-token-of-the-login"


# -- what passes through -----------------------------------------------------------------------------


def listed(proxy: Proxy) -> httpx.Response:
    with client(proxy) as http:
        return http.get("https://api.anthropic.com/v1/files", headers=OWN)


def test_what_passes_through_waits_for_a_token_that_is_due(house: House) -> None:
    due(house)
    house.vendor.on(path="/token").reply(granted())
    house.vendor.on(path="/v1/files").always(whole(b"{}"))
    with house.proxy() as proxy:
        assert [listed(proxy).status_code for _ in range(2)] == [200, 200]
    assert [one.credential for one in house.calls()] == ["new-access-token-of-the-login"] * 2
    assert len(house.refreshes()) == 1


def test_what_passes_through_leaves_with_the_old_token_where_there_is_no_other(
    house: House,
) -> None:
    due(house)
    house.vendor.on(path="/token").always(whole(b"{}", 503))
    house.vendor.on(path="/v1/files").always(whole(b"{}"))
    with house.proxy() as proxy:
        assert listed(proxy).status_code == 200
    assert [one.credential for one in house.calls()] == ["the-access-token-of-claude"]


# -- Code Assist, and a token that is exchanged --------------------------------------------------------

ENVELOPED = {
    "model": "gemini-3-pro",
    "project": "of-another-account",
    "request": {"contents": [{"parts": []}]},
}
STREAM = "/v1internal:streamGenerateContent"
ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]
}


def enveloped_answer() -> Reply:
    return streamed([b"data: " + json.dumps({"response": ANSWER}).encode() + b"\r\n\r\n"])


@pytest.mark.parametrize(
    ("host", "program", "token"),
    [
        ("cloudcode-pa.googleapis.com", "GeminiCLI/0.61.0/gemini-3-pro (linux)", "access-token-of-gemini"),
        ("daily-cloudcode-pa.googleapis.com", "antigravity/hub/2.9.0 linux", "access-token-of-antigravity"),
    ],
)
def test_a_call_of_code_assist_names_the_project_of_its_login(
    house: House, host: str, program: str, token: str
) -> None:
    house.vendor.on(path="/v1internal:loadCodeAssist").always(whole(b'{"cloudaicompanionProject": "mine"}'))
    house.vendor.on(path=STREAM).always(enveloped_answer())
    headers = {"authorization": "Bearer ya29.own", "user-agent": program}
    with house.code_assist() as proxy, client(proxy) as http:
        for _ in range(2):
            answer = http.post(f"https://{host}{STREAM}?alt=sse", headers=headers, json=ENVELOPED)
            assert "Hello" in answer.text
    assert [one.credential for one in house.calls()] == [token] * 2
    assert [one.json() for one in house.calls()] == [{**ENVELOPED, "project": "mine"}] * 2
    assert len(house.vendor.requests) == 3


def test_other_clients_reach_antigravity_in_its_envelope(house: House) -> None:
    house.vendor.on(path="/v1internal:loadCodeAssist").always(whole(b'{"cloudaicompanionProject": "mine"}'))
    house.vendor.on(path=STREAM).always(enveloped_answer())
    body = {**json.loads(BODY), "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    with house.code_assist() as proxy, client(proxy) as http:
        url = f"https://api.anthropic.com{MESSAGES}"
        answer = http.post(url, headers={"x-api-key": "sk-ant-own-key"}, json=body)
    assert "Hello" in answer.text
    (call,) = house.calls()
    sent = call.json()
    assert (sent["model"], sent["project"]) == ("gemini-3.1-pro-high", "mine")
    assert "thinkingLevel" not in json.dumps(sent)
    assert call.credential == "access-token-of-antigravity"


BARE = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
COUNT = {"contents": BARE["contents"], "model": "models/gemini-3.1-pro"}


@pytest.mark.parametrize(
    ("method", "sent", "answer", "got"),
    [
        ("generateContent", {"model": "gemini-3.1-pro", "request": BARE}, {"response": ANSWER}, ANSWER),
        ("countTokens", {"request": COUNT}, {"totalTokens": 7}, {"totalTokens": 7}),
        ("generateContent", {"model": "gemini-3.1-pro", "request": BARE}, None, ANSWER),
    ],
    ids=["whole", "counted", "streamed"],
)
def test_a_client_of_gemini_reaches_antigravity_and_sees_no_envelope(
    house: House, method: str, sent: dict[str, object], answer: object, got: object
) -> None:
    house.vendor.on(path="/v1internal:loadCodeAssist").always(whole(b'{"cloudaicompanionProject": "mine"}'))
    house.vendor.always(enveloped_answer() if answer is None else whole(json.dumps(answer).encode()))
    named = method if answer else "streamGenerateContent?alt=sse"
    url = f"https://generativelanguage.googleapis.com/v1beta/models/gemini-x:{named}"
    with house.code_assist() as proxy, client(proxy) as http:
        found = http.post(url, headers={"x-goog-api-key": "AIza-own-key-of-the-client"}, json=BARE)
    text = found.text.removeprefix("data: ")
    assert json.loads(text) == got
    (call,) = house.calls()
    assert call.path == f"/v1internal:{named.partition('?')[0]}"
    assert call.json() == ({**sent, "project": "mine"} if "model" in sent else sent)


def test_the_token_of_github_is_exchanged(house: House) -> None:
    short = {"token": "tid=short-token-of-copilot", "expires_at": int(time.time()) + 1800, "refresh_in": 1500}
    house.vendor.on(path="/short").always(whole(json.dumps(short).encode()))
    headers = {"authorization": "Bearer own", "user-agent": "GitHubCopilotChat/0.30"}
    with house.code_assist() as proxy, client(proxy) as http:
        for _ in range(2):
            url = "https://api.githubcopilot.com/chat/completions"
            assert http.post(url, headers=headers, content=ask()).status_code == 200
    assert [one.credential for one in house.calls()] == ["tid=short-token-of-copilot"] * 2
    assert [one.header("authorization") for one in house.vendor.requests if one.path == "/short"] == [
        "token gho_token-of-github"
    ]


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)
