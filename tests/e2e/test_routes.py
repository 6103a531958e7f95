"""Routes through a real proxy: groups, which model the client sees, signatures and kept responses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import client
from tests.vendor import Answer, Received, Vendor, VendorThread
from tests.vendor.answers import SEAL
from tests.vendor.defaults import not_found
from tests.vendor.script import Reply, whole
from tests.vendor.speech import SPEECHES, Said, speech_of

CHAT = "https://api.openai.com/v1/chat/completions"
RESPONSES = "https://api.openai.com/v1/responses"
MESSAGES = "https://api.anthropic.com/v1/messages"
TARGETS = dict.fromkeys(("busy", "poor", "strict", "locked", "barred", "chat"), "openai_chat")
SPOKEN = {**TARGETS, "claude": "anthropic_messages"}
CONFIG = """
[providers.openai]
base_url = "{url}/openai"
[providers.anthropic]
base_url = "{url}/anthropic"
[providers.groq]
base_url = "{url}/groq"
[retry]
max_attempts = 1
"""
PROVIDER = """
[providers.{name}]
base_url = "{url}/{name}"
hosts = ["{name}.test"]
protocols = ["{protocol}"]
auth = "bearer"
credentials = [{{ name = "pool", key = "env:KEY" }}]
"""
ROUTES = """
[[routes]]
match = { model = "group" }
to = ["busy/one", "poor/two", "claude/three", "chat/four"]
[[routes]]
match = { model = "own-fault" }
to = ["strict/one", "chat/two"]
[[routes]]
match = { model = "locked-out" }
to = ["locked/one", "chat/two"]
next_on_auth = true
[[routes]]
match = { model = "barred" }
to = ["barred/one", "chat/two"]
[[routes]]
match = { model = "named" }
to = ["chat/served"]
report_model = "upstream"
[[routes]]
match = { model = "vectors" }
to = ["claude/one", "chat/served"]
[[routes]]
match = { model = "adapted" }
to = ["chat/served"]
adapters = ["suppress_developer_role", { name = "drop_params", params = ["seed"] }]
[[routes]]
match = { provider = "groq" }
to = ["groq/served"]
[[routes]]
match = { model = "to-claude" }
to = ["claude/served"]
"""
USER = {"role": "user", "content": "hi"}
ANSWER = Said(("Hello.",), ("Let me think.",))
ERRORS = {
    "busy": (503, "busy"),
    "poor": (429, "insufficient_quota"),
    "strict": (400, "no"),
    "locked": (401, "no key"),
    "barred": (401, "no key"),
}
OWN, OTHER = ({"authorization": f"Bearer sk-client-{name}-0123456789"} for name in ("own", "other"))


def answer(received: Received) -> Answer:
    """What a provider says: its name is how the path begins."""
    name, speech = received.path.split("/")[1], speech_of(received.path)
    if name in ERRORS:
        return SPEECHES["openai_chat"].error(*ERRORS[name])
    if received.path.endswith("/embeddings"):
        return _vectors(received.json()["model"])
    if speech is None:
        return not_found()
    return speech.whole(ANSWER, model=str(received.json()["model"]))


def _vectors(model: str) -> Reply:
    return whole([b'{"object":"list","model":"%s","data":[]}' % model.encode()])


def configured(url: str) -> str:
    providers = (PROVIDER.format(name=name, url=url, protocol=each) for name, each in SPOKEN.items())
    return CONFIG.format(url=url) + "".join(providers) + ROUTES


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread(Vendor(default=answer)) as running:
        yield running


@pytest.fixture(scope="module")
def http(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("routes")
    with Proxy(folder, configured(vendor.base_url), keys={"KEY": "sk-pool"}) as proxy, client(proxy) as http:
        yield http


@pytest.fixture
def asked(vendor: VendorThread) -> "Asked":
    return Asked(vendor)


class Asked:
    """What the provider was asked since the test began."""

    def __init__(self, vendor: VendorThread) -> None:
        self._vendor, self._before = vendor, len(vendor.requests)

    @property
    def requests(self) -> list[Received]:
        return list(self._vendor.requests)[self._before :]

    @property
    def providers(self) -> list[str]:
        return [received.path.split("/")[1] for received in self.requests]

    @property
    def last(self) -> Any:
        return self.requests[-1].json()


def chat(http: httpx.Client, model: str, **more: object) -> httpx.Response:
    return http.post(CHAT, json={"model": model, "messages": [USER], **more}, headers=OWN)


@pytest.mark.parametrize(
    ("model", "status", "providers"),
    [("locked-out", 200, ["locked", "chat"]), ("barred", 401, ["barred"])],
)
def test_a_target_that_refuses_every_key_is_skipped_where_the_route_says_so(
    http: httpx.Client, asked: Asked, model: str, status: int, providers: list[str]
) -> None:
    assert chat(http, model).status_code == status
    assert asked.providers == providers


def respond(http: httpx.Client, model: str, text: str, **more: object) -> httpx.Response:
    headers = more.pop("headers", OWN)
    assert isinstance(headers, dict)
    return http.post(RESPONSES, json={"model": model, "input": text, **more}, headers=headers)


def test_a_group_continues_after_targets_that_are_broken_or_out_of_quota(
    http: httpx.Client, asked: Asked
) -> None:
    response = chat(http, "group").json()
    assert asked.providers == ["busy", "poor", "claude"]
    assert response["choices"][0]["message"]["content"] == "Hello."
    assert response["model"] == "group"


def test_a_fault_of_the_request_is_nobody_else_s_affair(http: httpx.Client, asked: Asked) -> None:
    assert chat(http, "own-fault").status_code == 400
    assert asked.providers == ["strict"]


def test_a_route_may_name_the_model_that_served(http: httpx.Client) -> None:
    assert chat(http, "named").json()["model"] == "served"


def test_another_model_of_a_provider_is_asked_at_that_provider_s_path(
    http: httpx.Client, asked: Asked
) -> None:
    body = {"model": "llama", "messages": [USER]}
    response = http.post("https://api.groq.com/openai/v1/chat/completions", json=body, headers=OWN)
    assert response.json()["model"] == "llama"
    assert [request.path for request in asked.requests] == ["/groq/openai/v1/chat/completions"]
    assert asked.last["model"] == "served"


def test_embeddings_go_to_the_target_of_their_own_protocol(http: httpx.Client, asked: Asked) -> None:
    url = CHAT.replace("chat/completions", "embeddings")
    response = http.post(url, json={"model": "vectors"}, headers=OWN)
    assert response.json() == {"object": "list", "model": "vectors", "data": []}
    assert [request.path for request in asked.requests] == ["/chat/v1/embeddings"]


def test_what_no_target_has_is_refused_and_nobody_is_asked(http: httpx.Client, asked: Asked) -> None:
    body = {"model": "named", "messages": [USER]}
    response = http.post(f"{MESSAGES}/count_tokens", json=body, headers=OWN)
    assert (response.status_code, response.json()["type"], asked.providers) == (400, "error", [])
    assert "count_tokens" in response.json()["error"]["message"]


def test_adapters_change_what_is_asked(http: httpx.Client, asked: Asked) -> None:
    chat(http, "adapted", seed=1, messages=[{"role": "developer", "content": "Be brief."}, USER])
    assert "seed" not in asked.last
    assert [message["role"] for message in asked.last["messages"]] == ["system", "user"]


def test_a_seal_goes_back_to_its_maker_alone_within_one_protocol(http: httpx.Client, asked: Asked) -> None:
    def say(model: str, *messages: object) -> Any:
        body = {"model": model, "max_tokens": 99, "messages": [USER, *messages]}
        return http.post(MESSAGES, json=body, headers=OWN).json()["content"]

    content = say("to-claude")
    history = ({"role": "assistant", "content": content}, USER)
    thinking, text = content
    assert (thinking["type"], text["text"]) == ("thinking", "Hello.")
    assert thinking["signature"] != SEAL
    say("to-claude", *history)
    assert asked.last["messages"][1]["content"][0] == {**thinking, "signature": SEAL}
    say("claude-sonnet-4-5", *history)
    assert asked.providers == ["claude", "claude", "anthropic"]
    assert asked.last["messages"][1]["content"] == [text]


def test_a_conversation_continues_from_a_kept_response(http: httpx.Client, asked: Asked) -> None:
    first = respond(http, "to-claude", "one").json()
    second = respond(http, "to-claude", "two", previous_response_id=first["id"]).json()
    assert second["previous_response_id"] == first["id"]
    roles = [message["role"] for message in asked.last["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert SEAL in str(asked.last["messages"][1])
    respond(http, "gpt-5", "three", previous_response_id=second["id"])
    assert asked.providers[-1] == "openai"
    assert "previous_response_id" not in asked.last
    assert SEAL not in str(asked.last)
    assert len([item for item in asked.last["input"] if item.get("role") == "user"]) == 3


def test_a_kept_response_is_its_own_client_s(http: httpx.Client, asked: Asked) -> None:
    name = respond(http, "to-claude", "one").json()["id"]
    assert http.get(f"{RESPONSES}/{name}", headers=OWN).json()["id"] == name
    assert http.get(f"{RESPONSES}/{name}/input_items", headers=OWN).json()["object"] == "list"
    assert http.get(f"{RESPONSES}/{name}", headers=OTHER).status_code == 404
    response = respond(http, "to-claude", "two", previous_response_id=name, headers=OTHER)
    assert response.json()["error"]["code"] == "previous_response_not_found"
    assert http.delete(f"{RESPONSES}/{name}", headers=OWN).json()["deleted"] is True
    assert http.get(f"{RESPONSES}/{name}", headers=OWN).status_code == 404
    assert asked.providers == ["claude"]
    http.get(f"{RESPONSES}/resp_0123", headers=OWN)
    assert asked.providers == ["claude", "openai"]


def test_kept_responses_outlive_the_proxy_in_a_folder(vendor: VendorThread, tmp_path: Path) -> None:
    options = ("--set", f"rotator_state={tmp_path / 'state'}")
    names: list[str] = []
    for previous in ("", "the first"):
        folder = tmp_path / f"proxy {previous}"
        folder.mkdir()
        running = Proxy(folder, configured(vendor.base_url), keys={"KEY": "sk-pool"}, options=options)
        with running as proxy, client(proxy) as http:
            more = {"previous_response_id": names[-1]} if previous else {}
            names.append(respond(http, "to-claude", "hi", **more).json()["id"])
    assert len(vendor.requests[-1].json()["messages"]) == 3
