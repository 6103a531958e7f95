"""A conversation keeps its key, and another one has another: SDKs and requests of agents, in every mode."""

import json
import ssl
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.oracle import NAMED
from tests.vendor import Answer, Received, Tool, Vendor, VendorThread
from tests.vendor.answers import dump
from tests.vendor.defaults import asked, default_answer
from tests.vendor.speech import Said

MODES = ("sequential", "round_robin", "balanced", "weighted", "cheapest")
KEYS = {f"KEY_{n}": f"sk-pool-key-of-conversations-{n}" for n in (1, 2, 3)}
PROVIDERS = ("openai", "anthropic", "gemini", "ollama_cloud")
CALLS = 3
"""Calls of a tool in a conversation of an SDK, each in a turn of its own."""


AGENTS_CALLS = {
    b"list_directory": Tool("list_directory", ('{"path": ".", "dir_path": "."}',)),
    b"<current_datetime>": Tool(
        "bash", ('{"command": "echo tool-ok", "description": "say tool-ok"}',), "call_fake01"
    ),
}
"""What the first turns were answered of agents that state no conversation, by what stands in them."""


def played(received: Received) -> Answer:
    """A call of a tool until there were enough. All conversations get the same words, and no long ids."""
    call = asked(received)
    if call is None or not json.loads(received.body).get("tools"):
        return default_answer(received)
    of_agent = next((tool for mark, tool in AGENTS_CALLS.items() if mark in received.body), None)
    said = _call(of_agent) if of_agent else _weather(received.body.count(b"-4711"))
    if call.stream:
        return call.speech.stream(said, model=call.model, usage=call.usage, array=call.array)
    return call.speech.whole(said, model=call.model)


def _weather(calls: int) -> Said:
    if calls == CALLS:
        return Said(("Done.",))
    return replace(_call(Tool("get_weather", ('{"city": "Paris"}',))), texts=("Let me see.",))


def _call(tool: Tool) -> Said:
    return Said(tools=(tool,), finish="tools")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread(Vendor(default=played)) as running:
        yield running


def config(url: str, mode: str, *, spread: bool) -> str:
    credentials = ", ".join(f'{{ name = "{name}", key = "env:{name}" }}' for name in KEYS)
    return "".join(
        f"""
        [providers.{name}]
        base_url = "{url}"
        rotation = "{mode}"
        spread_subagents = {str(spread).lower()}
        credentials = [{credentials}]
        """
        for name in PROVIDERS
    )


def running(vendor: VendorThread, folder: Path, mode: str, *, spread: bool = False) -> Proxy:
    return Proxy(folder, config(vendor.base_url, mode, spread=spread), keys=KEYS)


@pytest.fixture(scope="module", params=MODES)
def proxy(
    vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Proxy]:
    with running(vendor, tmp_path_factory.mktemp(request.param), request.param) as one:
        yield one
    assert "Traceback" not in one.log


def mode_of(proxy: Proxy) -> str:
    return next(mode for mode in MODES if f'rotation = "{mode}"' in proxy.config.read_text())


def keys_by(requests: Sequence[Received], words: Sequence[str]) -> Mapping[str, Sequence[str | None]]:
    """The keys that the requests with each of these words came with, in order."""
    found = defaultdict(list)
    for one in requests:
        for word in words:
            if word.encode() in one.body:
                found[word].append(one.credential)
    return found


# -- SDKs, which say nothing of their conversations -------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "environment", "mode"),
    [
        ("turns_chat", "openai-current", "raw"),
        ("turns_chat", "openai-current", "whole"),
        ("turns_responses", "openai-current", "raw"),
        ("turns_messages", "anthropic-current", "raw"),
        ("turns_gemini", "google-current", "raw"),
        ("turns_ollama", "ollama", "raw"),
    ],
)
def test_an_sdk_keeps_its_key_for_a_conversation(
    proxy: Proxy, vendor: VendorThread, program: str, environment: str, mode: str
) -> None:
    before = len(vendor.requests)
    prompts = [f"the weather for traveller {name} of {program} {mode}" for name in ("Ada", "Ben", "Cleo")]
    job = {"mode": mode, "model": "m-1", "tools": True, "turns": CALLS + 1}
    jobs = [{**job, "prompt": prompt} for prompt in prompts]
    results = sdk.run(environment, program, proxy.environment(), jobs=jobs)["results"]
    assert [one["error"] for one in results] == [None] * 3
    assert [one["turns"][-1]["text"] for one in results] == ["Done."] * 3
    found = keys_by(vendor.requests[before:], prompts)
    assert [len(found[prompt]) for prompt in prompts] == [CALLS + 1] * 3
    assert all(len(set(keys)) == 1 for keys in found.values())
    different = {keys[0] for keys in found.values()}
    assert len(different) == (1 if mode_of(proxy) == "sequential" else 3)


# -- agents, as they were recorded ------------------------------------------------------------------------

TURNS = {
    "claude": ("claude-1", "claude-2"),
    "codex": ("codex-2", "codex-3"),
    "copilot": ("copilot-1", "copilot-2"),
    "gemini-cli": ("gemini-2", "gemini-3"),
    "opencode": ("opencode-2", "opencode-3"),
}
_BOUND = ("content-length", "host", "connection", "accept-encoding", "transfer-encoding")
_SESSION = "00000000-0000-4000-8000-000000000000"


def client_of(proxy: Proxy) -> httpx.Client:
    return httpx.Client(proxy=proxy.url, verify=ssl.create_default_context(cafile=proxy.ca))


class Agent:
    """Sends the recorded requests of an agent through the proxy, as a conversation `name` of its own."""

    def __init__(self, proxy: Proxy, name: str, **headers: str) -> None:
        self.name, self.headers = name, headers
        self.client = client_of(proxy)

    def send(self, file: str) -> None:
        folder = Path(NAMED).parents[1] / "clients" / "requests" / "tool-turn"
        text = (folder / f"{file}.json").read_text().replace(_SESSION, f"session-{self.name}")
        said = json.loads(text.replace("ses_e049aaae1ffe23ws7qfcVLcYki", f"session-{self.name}"))
        headers = {name: value for name, value in said["headers"] if name.lower() not in _BOUND}
        headers |= {name.replace("_", "-"): value for name, value in self.headers.items()}
        body = dump(_named(said["body"], self.name))
        path = said["path"] if "..." not in said["path"] else "/v1beta/models/m:streamGenerateContent?alt=sse"
        answer = self.client.post(f"https://{said['host']}{path}", content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def _named(value: Any, name: str) -> Any:
    """What the user says has the conversation's name in it."""
    match value:
        case str() if value == "hi" or value.startswith("<current_datetime>"):
            return f"{value} from {name}"
        case list():
            return [_named(each, name) for each in value]
        case dict():
            return {key: _named(each, name) for key, each in value.items()}
        case _:
            return value


recorded = pytest.mark.skipif(not NAMED, reason="ROTATOR_RECORDED names no folder of recorded streams")


@recorded
@pytest.mark.parametrize("agent", TURNS)
def test_an_agent_keeps_its_key_for_a_conversation(proxy: Proxy, vendor: VendorThread, agent: str) -> None:
    mode, before = mode_of(proxy), len(vendor.requests)
    names = [f"{agent} {mode} {which}" for which in ("one", "two")]
    with Agent(proxy, names[0]) as one, Agent(proxy, names[1]) as two:
        for file in TURNS[agent]:
            one.send(file)
            two.send(file)
    found = keys_by(vendor.requests[before:], names)
    assert [len(found[name]) for name in names] == [2, 2]
    assert all(len(set(keys)) == 1 for keys in found.values())
    assert len({keys[0] for keys in found.values()}) == (1 if mode == "sequential" else 2)


@recorded
@pytest.mark.parametrize("spread", [False, True])
def test_sub_agents_of_claude_stay_with_their_session_or_are_spread(
    vendor: VendorThread, tmp_path: Path, spread: bool
) -> None:
    before = len(vendor.requests)
    with running(vendor, tmp_path, "round_robin", spread=spread) as proxy, ExitStack() as stack:
        ids: Sequence[dict[str, str]] = (
            {},
            {"X_Claude_Code_Agent_Id": "a1"},
            {"X_Claude_Code_Agent_Id": "a2"},
        )
        agents = [stack.enter_context(Agent(proxy, "sub-agents", **each)) for each in ids]
        for file in TURNS["claude"]:
            for one in agents:
                one.send(file)
        stack.enter_context(Agent(proxy, "another one")).send("claude-1")
    keys = [one.credential for one in vendor.requests[before:]]
    assert keys[:3] == keys[3:6]
    assert len({*keys[:3]}) == (3 if spread else 1)
    assert keys[6] not in keys[3:6] or spread


# -- one that is busy -------------------------------------------------------------------------------------


def test_a_busy_conversation_turns_no_wheel(vendor: VendorThread, tmp_path: Path) -> None:
    before = len(vendor.requests)
    with running(vendor, tmp_path, "round_robin") as proxy, client_of(proxy) as client:
        for session in ("busy", "1", "busy", "2", "busy", "3", "busy", "4", "busy", "5"):
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            answer = client.post(
                "https://api.openai.com/v1/chat/completions", json=body, headers={"x-session-id": session}
            )
            assert answer.status_code == 200
    keys = [one.credential for one in vendor.requests[before:]]
    assert len({*keys[::2]}) == 1
    assert sorted(Counter(keys[1::2]).values()) == [1, 2, 2]


# -- a proxy that is started again ------------------------------------------------------------------------


def chat(client: httpx.Client, *said: str, session: str = "") -> None:
    """A call of OpenAI Chat of turns that begin with the user's."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
    headers = {"x-session-id": session} if session else {}
    url = "https://api.openai.com/v1/chat/completions"
    assert client.post(url, json={"model": "m", "messages": messages}, headers=headers).status_code == 200


def test_conversations_stay_where_they_were_after_a_restart(vendor: VendorThread, tmp_path: Path) -> None:
    before = len(vendor.requests)
    options = ("--set", f"rotator_state={tmp_path / 'state'}")
    answer = "Hello from the fake provider."
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        text = config(vendor.base_url, "round_robin", spread=False)
        with Proxy(folder, text, keys=KEYS, options=options) as proxy, client_of(proxy) as client:
            for name in ("one", "two"):
                asked = [f"say hi to {name}", *([answer, "go on"] * number)]
                chat(client, *asked)
                chat(client, "hi", session=name)
    keys = [one.credential for one in vendor.requests[before:]]
    assert keys[:4] == keys[4:]
    assert len({*keys[:3]}) == 3
