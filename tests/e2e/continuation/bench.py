"""The scenarios at work: one provider that speaks every protocol, one proxy, each SDK in one process."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import sdk as sdks
from tests.e2e.continuation.scenarios import PROMPT, SCENARIOS, Given, Scenario
from tests.e2e.proxy import Proxy
from tests.e2e.translation.bench import model_of
from tests.e2e.translation.clients import CLIENTS, Client
from tests.vendor import Answer, Hang, Received, Reset, Vendor, VendorThread
from tests.vendor.defaults import not_found
from tests.vendor.script import Headers
from tests.vendor.speech import Speech, speech_of

STREAMS = ("raw", "helper", "async_raw")
KEYS = ("one", "two", "three", "four")
OTHERS = {
    "openai": "anthropic_messages",
    "anthropic": "openai_chat",
    "gemini": "openai_responses",
    "ollama_cloud": "gemini_generate",
}
"""The providers that clients mean, and what the one speaks that is asked for the rest of a group's."""

_AUTH = {"anthropic_messages": "x-api-key", "gemini_generate": "x-goog-api-key"}
_LATER: Headers = (("retry-after", "300"),)
COMPLAINT = "the provider is out of breath"


@dataclass(frozen=True, slots=True)
class Cell:
    """One conversation; its model names it, so that the provider knows what to say."""

    client: Client
    mode: str
    scenario: Scenario

    @property
    def model(self) -> str:
        group = "group" if self.scenario.group else "own"
        return f"{self.scenario.name}.{self.mode}.{self.client.name}.{group}"


BRIEF = frozenset({"continues", "again", "cut_always", "calls", "loses_a_call"})
"""What is enough for older SDKs, and for those whose asynchronous client reads what the other one does."""


def is_played(client: Client, scenario: Scenario, mode: str) -> bool:
    if mode not in STREAMS or client.protocol in scenario.but:
        return False
    alike = mode == "async_raw" and client.protocol != "gemini_generate"
    return scenario.name in BRIEF or not (alike or client.sdk.endswith("-older"))


CELLS = [
    Cell(client, mode, scenario)
    for client in CLIENTS
    for scenario in SCENARIOS
    for mode in client.modes
    if is_played(client, scenario, mode)
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client reported, what its provider was asked, and the line of the record."""

    turn: Mapping[str, Any]
    error: Mapping[str, Any] | None
    requests: tuple[Received, ...]
    line: str


class Provider:
    """It answers the requests of a cell in the order of its scenario."""

    def __init__(self) -> None:
        self._asked = Counter[str]()

    def __call__(self, received: Received) -> Answer:
        speech, model = speech_of(received.path), model_of(received)
        scenario = next((each for each in SCENARIOS if each.name == model.partition(".")[0]), None)
        if speech is None or scenario is None:
            return not_found()
        number, self._asked[model] = self._asked[model], self._asked[model] + 1
        usage = b'"include_usage":true' in received.body.replace(b" ", b"")
        return _answer(speech, scenario.gives[number], f"{model}#{number}", usage=usage)


def _answer(speech: Speech, one: Given, model: str, *, usage: bool) -> Answer:
    match one.ends:
        case "cut":
            return speech.cut(one.said, one.upto, model=model)
        case "reset":
            return speech.cut(one.said, one.upto, Reset(), model=model)
        case "hung":
            return speech.cut(one.said, one.upto, Hang(), model=model)
        case "error":
            return speech.failing(one.said, one.upto, COMPLAINT, model=model)
        case "refused":
            return speech.error(429, COMPLAINT, _LATER)
        case "silent":
            return speech.silent()
        case _:
            return speech.stream(one.said, model=model, usage=usage)


class Bench:
    """A client plays all of its cells when the first of them is asked for."""

    def __init__(self, proxy: Proxy, vendor: VendorThread) -> None:
        self.proxy, self.vendor = proxy, vendor
        self._results: dict[str, dict[str, Any]] = {}

    def play(self, cell: Cell) -> Seen:
        if cell.client.name not in self._results:
            self._results[cell.client.name] = self._played(cell.client)
        result = self._results[cell.client.name][cell.model]
        requests = tuple(each for each in self.vendor.requests if model_of(each) == cell.model)
        mark = f"model={cell.model} "
        (line,) = re.findall(rf".*{re.escape(mark)}.*", self.proxy.wait_log(mark))
        (turn,) = result["turns"]
        return Seen(turn, result["error"], requests, line)

    def _played(self, client: Client) -> dict[str, Any]:
        cells = [cell for cell in CELLS if cell.client is client]
        jobs = [
            {"mode": cell.mode, "model": cell.model, "prompt": PROMPT, **cell.scenario.job} for cell in cells
        ]
        result = sdks.run(client.sdk, client.program, self.proxy.environment(), jobs=jobs, timeout=120)
        return dict(zip([cell.model for cell in cells], result["results"], strict=True))


def key_of(provider: str, name: str) -> str:
    return f"sk-pool-{provider}-{name}"


def config(base_url: str) -> str:
    own = "".join(_own(base_url, provider) for provider in OTHERS)
    routes = "".join(_route(provider, other) for provider, other in OTHERS.items())
    targets = "".join(_target(base_url, other) for other in OTHERS.values())
    timing = "first_event_timeout = 3\nfirst_token_timeout = 3\nslow_start_timeout = 3\nstall_timeout = 3\n"
    return f'[streaming]\non_truncation = "continue"\n{timing}{routes}{own}{targets}'


def _own(base_url: str, provider: str) -> str:
    return f'[providers.{provider}]\nbase_url = "{base_url}"\ncredentials = [{_pool(provider)}]\n'


def _route(provider: str, other: str) -> str:
    match = f'provider = "{provider}", model = "*.group"'
    return f'[[routes]]\nmatch = {{ {match} }}\nto = ["{provider}", "to_{other}"]\n'


def _target(base_url: str, other: str) -> str:
    return f"""
[providers.to_{other}]
base_url = "{base_url}"
hosts = ["{other.replace("_", "-")}.test"]
protocols = ["{other}"]
auth = "{_AUTH.get(other, "bearer")}"
credentials = [{_pool(f"to_{other}")}]
"""


def _pool(provider: str) -> str:
    return ", ".join(f'{{ name = "{name}", key = "env:{_variable(provider, name)}" }}' for name in KEYS)


def _variable(provider: str, name: str) -> str:
    return f"KEY_{provider}_{name}".upper()


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    providers = [*OTHERS, *(f"to_{other}" for other in OTHERS.values())]
    keys = {_variable(each, name): key_of(each, name) for each in providers for name in KEYS}
    with (
        VendorThread(Vendor(default=Provider())) as vendor,
        Proxy(folder, config(vendor.base_url), keys=keys) as proxy,
    ):
        yield Bench(proxy, vendor)
