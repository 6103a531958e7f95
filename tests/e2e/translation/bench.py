"""The matrix at work: one provider that speaks every protocol, one proxy, each SDK in one process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import sdk as sdks
from tests.e2e.proxy import Proxy
from tests.e2e.translation.asked import Asked, asked
from tests.e2e.translation.clients import CLIENTS, Client
from tests.e2e.translation.scenarios import COMPLAINT, PROMPT, SCENARIOS, Cut, Fails, Refused, Scenario
from tests.vendor import Answer, Received, Vendor, VendorThread
from tests.vendor.defaults import not_found
from tests.vendor.script import Reset
from tests.vendor.speech import SPEECHES, Speech, speech_of

UPSTREAMS = tuple(SPEECHES)
ALIAS, ALIASED = "alias", "text.renamed"
OWN = "own"
"""In place of an upstream: no route, the client gets to the provider that it means."""

_AUTH = {"anthropic_messages": "x-api-key", "gemini_generate": "x-goog-api-key"}
_OWN = ("openai", "anthropic", "gemini", "ollama_cloud")


@dataclass(frozen=True, slots=True)
class Cell:
    """One conversation; its model names it, so that the provider knows what to say."""

    client: Client
    mode: str
    via: str
    scenario: Scenario

    @property
    def upstream(self) -> str:
        """The protocol that the provider speaks."""
        return self.client.protocol if self.via == OWN else self.via

    @property
    def model(self) -> str:
        return f"{self.scenario.name}.{self.mode}.{self.client.name}.via-{self.via}"


CELLS = [
    Cell(client, mode, via, scenario)
    for client in CLIENTS
    for via in (*UPSTREAMS, OWN)
    for scenario in SCENARIOS
    for mode in client.modes
    if mode in scenario.modes and (scenario.own or via != OWN)
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client reported of its turns and its error, and what its provider was asked."""

    turns: list[dict[str, Any]]
    error: Mapping[str, Any] | None
    requests: tuple[Received, ...]
    asked: tuple[Asked, ...]

    @property
    def turn(self) -> Mapping[str, Any]:
        return self.turns[-1]


class Bench:
    """A client plays all of its cells when the first of them is asked for."""

    def __init__(self, proxy: Proxy, vendor: VendorThread) -> None:
        self.proxy, self.vendor = proxy, vendor
        self._results: dict[str, dict[str, Any]] = {}

    def play(self, cell: Cell) -> Seen:
        if cell.client.name not in self._results:
            self._results[cell.client.name] = self._played(cell.client)
        result = self._results[cell.client.name][cell.model]
        speech = SPEECHES[cell.upstream]
        requests = tuple(r for r in self.vendor.requests if model_of(r) == cell.model)
        assert all(speech_of(request.path) is speech for request in requests)
        return Seen(
            result["turns"],
            result["error"],
            requests,
            tuple(asked(cell.upstream, request) for request in requests),
        )

    def _played(self, client: Client) -> dict[str, Any]:
        cells = [cell for cell in CELLS if cell.client is client]
        jobs = [
            {"mode": cell.mode, "model": cell.model, "prompt": PROMPT, **cell.scenario.job} for cell in cells
        ]
        answered = sdks.run(client.sdk, client.program, self.proxy.environment(), jobs=jobs, timeout=120)
        return dict(zip([cell.model for cell in cells], answered["results"], strict=True))


def answer(received: Received) -> Answer:
    """What the provider says to a cell, by the model that is asked and the results that are there."""
    speech, model = speech_of(received.path), model_of(received)
    if speech is None or "." not in model:
        return not_found()
    call = asked(speech.protocol, received)
    scenario = next(each for each in SCENARIOS if each.name == model.partition(".")[0])
    said = scenario.says[bool(call.results)]
    if scenario.fault:
        return _faulty(speech, scenario, model, stream=call.stream)
    if not call.stream:
        return speech.whole(said, model=model)
    usage = b'"include_usage":true' in received.body.replace(b" ", b"")
    array = speech.protocol == "gemini_generate" and "alt=sse" not in received.target
    return speech.stream(said, model=model, usage=usage, array=array)


def _faulty(speech: Speech, scenario: Scenario, model: str, *, stream: bool) -> Answer:
    said = scenario.says[0]
    match scenario.fault:
        case Refused(status):
            return speech.error(status, COMPLAINT)
        case Fails(after):
            return speech.failing(said, after, COMPLAINT, model=model)
        case Cut() if not stream:
            return speech.cut_whole(said, model=model)
        case Cut(after, reset):
            return speech.cut(said, after, *([Reset()] if reset else []), model=model)
        case None:
            raise AssertionError(scenario.name)


def model_of(received: Received) -> str:
    """The model that a request names, in its body or its path."""
    if "/models/" in received.path:
        return received.path.rpartition("/")[2].partition(":")[0]
    return str(received.json().get("model", "")) if received.body else ""


def key_of(upstream: str) -> str:
    """What the pool of a target has."""
    return f"sk-pool-{upstream}"


_RENAMED = f"""
[[routes]]
match = {{ provider = "openai", model = "{ALIAS}" }}
to = ["to_anthropic_messages/{ALIASED}"]
"""


def config(base_url: str) -> str:
    """A route and a provider for each protocol; those that the clients call lead to the same place."""
    own = "".join(f'[providers.{name}]\nbase_url = "{base_url}/own"\n' for name in _OWN)
    targets = "".join(_target(base_url, each) for each in UPSTREAMS)
    return own + "[retry]\nmax_attempts = 1\n" + targets + _RENAMED


def _target(base_url: str, upstream: str) -> str:
    return f"""
[[routes]]
match = {{ model = "*.via-{upstream}" }}
to = ["to_{upstream}"]
[providers.to_{upstream}]
base_url = "{base_url}"
hosts = ["{upstream.replace("_", "-")}.test"]
protocols = ["{upstream}"]
auth = "{_AUTH.get(upstream, "bearer")}"
credentials = [{{ name = "pool", key = "env:KEY_{upstream.upper()}" }}]
"""


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    keys = {f"KEY_{upstream.upper()}": key_of(upstream) for upstream in UPSTREAMS}
    with (
        VendorThread(Vendor(default=answer)) as vendor,
        Proxy(folder, config(vendor.base_url), keys=keys) as proxy,
    ):
        yield Bench(proxy, vendor)
