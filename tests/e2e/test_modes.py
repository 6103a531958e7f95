"""Calls that are asked for the other way than their client asked, with the real SDKs.

`forced`: the client wants it whole, the provider is asked for a stream. `whole`: the client wants a stream,
the provider cannot. Each on the client's own way, and through a provider of another protocol.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import sdk as sdks
from tests.e2e.proxy import Proxy
from tests.e2e.translation.asked import asked
from tests.e2e.translation.bench import model_of
from tests.e2e.translation.clients import CLIENTS, Client
from tests.e2e.translation.scenarios import CUT_AFTER, CUT_TEXT, PROMPT, THOUGHTS, TIME, WEATHER, WORDS
from tests.vendor import Answer, Received, Vendor, VendorThread
from tests.vendor.defaults import not_found
from tests.vendor.script import Hang
from tests.vendor.speech import SPEECHES, Said, Speech, speech_of

ANSWER = Said(WORDS)
SAYS: Mapping[str, tuple[Said, ...]] = {
    "text": (ANSWER,),
    "thought": (Said(WORDS, THOUGHTS),),
    "long": (Said(WORDS, finish="length"),),
    "tools": (Said(("Both. ",), tools=(WEATHER, TIME), finish="tools"), ANSWER),
    "silent": (ANSWER,),
    "stalls": (ANSWER,),
    "resets": (ANSWER,),
    "alwayscut": (ANSWER,),
    "fails": (ANSWER,),
}
JOBS: Mapping[str, Mapping[str, Any]] = {"tools": {"tools": True, "turns": 3}, "thought": {"reasoning": True}}
FAULTS = ("silent", "stalls", "resets")
"""What befalls the first attempt; the second goes well."""

USAGE = [12, 9]
OWN = ("openai", "anthropic", "gemini", "ollama_cloud")
OTHERS = {"openai_chat": "anthropic_messages"}
"""The protocol that a call is translated to; for any that is not named: Chat."""


@dataclass(frozen=True, slots=True)
class Cell:
    client: Client
    mode: str
    says: str
    way: str

    @property
    def upstream(self) -> str:
        translated = OTHERS.get(self.client.protocol, "openai_chat")
        return translated if self.way.endswith("across") else self.client.protocol

    @property
    def model(self) -> str:
        return f"{self.says}.{self.mode}.{self.client.name}.{self.way}-{self.upstream}"


FORCED = [
    Cell(client, "whole", says, way)
    for client in CLIENTS
    if "whole" in client.modes
    for way in ("forced", "forced-across")
    for says in SAYS
]
WHOLE = [
    Cell(client, mode, says, way)
    for client in CLIENTS
    for mode in client.modes
    if mode in ("raw", "helper")
    for way in ("whole", "whole-across")
    for says in ("text", "thought", "tools", "long", "fails")
]


class Bench:
    """A client plays all of its cells when the first of them is asked for."""

    def __init__(self, proxy: Proxy, vendor: VendorThread) -> None:
        self._proxy, self.vendor = proxy, vendor
        self._results: dict[str, dict[str, Any]] = {}

    def play(self, cell: Cell) -> tuple[dict[str, Any], list[Received]]:
        client = cell.client
        if client.name not in self._results:
            cells = [each for each in (*FORCED, *WHOLE) if each.client is client]
            jobs = [
                {"mode": one.mode, "model": one.model, "prompt": PROMPT, **JOBS.get(one.says, {})}
                for one in cells
            ]
            outcome = sdks.run(client.sdk, client.program, self._proxy.environment(), jobs=jobs, timeout=180)
            models = [one.model for one in cells]
            self._results[client.name] = dict(zip(models, outcome["results"], strict=True))
        requests = [each for each in self.vendor.requests if model_of(each) == cell.model]
        return self._results[client.name][cell.model], requests


class Provider:
    """Streams for those that are forced to, and never for those that it has whole answers for."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def answer(self, received: Received) -> Answer:
        speech, model = speech_of(received.path), model_of(received)
        if speech is None or "." not in model:
            return not_found()
        call = asked(speech.protocol, received)
        if call.stream == (".whole-" in model):
            return speech.error(400, "asked the wrong way")
        says = model.partition(".")[0]
        said = SAYS[says][bool(call.results)]
        self._asked[model] += 1
        if not call.stream:
            return speech.error(400, "no") if says == "fails" else speech.whole(said, model=model)
        return self._streamed(speech, says, said, model, first=self._asked[model] == 1)

    def _streamed(self, speech: Speech, says: str, said: Said, model: str, *, first: bool) -> Answer:
        match says:
            case "silent" if first:
                return speech.silent()
            case "stalls" if first:
                return speech.cut(said, CUT_AFTER, Hang(), model=model)
            case "resets" if first:
                return speech.reset(said, CUT_AFTER, model=model)
            case "alwayscut":
                return speech.cut(said, CUT_AFTER, model=model)
            case "fails":
                return speech.failing(said, CUT_AFTER, "out of breath", model=model)
            case _:
                return speech.stream(said, model=model)


def config(base_url: str) -> str:
    own = "".join(f'[providers.{name}]\nbase_url = "{base_url}/own"\n' for name in OWN)
    targets = "".join(
        _target(base_url, protocol, streams) for protocol in SPEECHES for streams in (True, False)
    )
    patience = "first_event_timeout = 1\nfirst_token_timeout = 1\nslow_start_timeout = 1\nstall_timeout = 1\n"
    forced = '[[routes]]\nmatch = { model = "*.forced-*" }\nforce_upstream_stream = true\n'
    return own + "[retry]\nmax_attempts = 2\n[streaming]\n" + patience + targets + forced


def _target(base_url: str, protocol: str, streams: bool) -> str:
    """A provider of one protocol; calls across protocols go there, and streams that it does not have."""
    name = f"{'streaming' if streams else 'whole'}_{protocol}"
    auth = {"anthropic_messages": "x-api-key", "gemini_generate": "x-goog-api-key"}.get(protocol, "bearer")
    ways = ["forced-across"] if streams else ["whole", "whole-across"]
    routes = "".join(
        f"""
[[routes]]
match = {{ model = "*.{way}-{protocol}" }}
to = ["{name}"]
force_upstream_stream = {str(streams).lower()}
"""
        for way in ways
    )
    return f"""{routes}
[providers.{name}]
base_url = "{base_url}"
hosts = ["{name.replace("_", "-")}.test"]
protocols = ["{protocol}"]
auth = "{auth}"
streams = {str(streams).lower()}
credentials = [{{ name = "pool", key = "env:POOL_KEY" }}]
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        vendor = stack.enter_context(VendorThread(Vendor(default=Provider().answer)))
        folder = tmp_path_factory.mktemp("modes")
        keys = {"POOL_KEY": "sk-pool"}
        yield Bench(stack.enter_context(Proxy(folder, config(vendor.base_url), keys=keys)), vendor)


def cells(among: list[Cell], *says: str) -> pytest.MarkDecorator:
    wanted = [
        pytest.param(cell, marks=sdks.marks(cell.client.sdk), id=cell.model)
        for cell in among
        if cell.says in says
    ]
    return pytest.mark.parametrize("cell", wanted)


@cells(FORCED, "text", "thought", "tools", "long", *FAULTS)
def test_a_whole_answer_is_streamed_upstream(cell: Cell, bench: Bench) -> None:
    outcome, requests = bench.play(cell)
    assert outcome["error"] is None
    says = SAYS[cell.says]
    assert len(requests) == len(says) + (cell.says in FAULTS)
    assert all(asked(cell.upstream, each).stream for each in requests)
    check_turns(cell, outcome["turns"])


@cells(FORCED, "alwayscut")
def test_one_that_is_always_cut_says_so(cell: Cell, bench: Bench) -> None:
    outcome, requests = bench.play(cell)
    assert len(requests) == 2
    (turn,) = outcome["turns"]
    assert turn["text"] == CUT_TEXT
    assert turn["finish"] == cell.client.finishes["length"]


@cells(FORCED, "fails")
def test_an_error_inside_the_stream_is_one_of_the_answer(cell: Cell, bench: Bench) -> None:
    outcome, _ = bench.play(cell)
    assert outcome["error"] is not None, "the SDK did not raise"
    assert outcome["error"]["status"] >= 500
    assert "out of breath" in outcome["error"]["message"]


@cells(WHOLE, "text", "thought", "tools", "long")
def test_a_stream_is_written_from_a_whole_answer(cell: Cell, bench: Bench) -> None:
    outcome, requests = bench.play(cell)
    raises = cell.client.raises.get(cell.mode) if cell.says == "long" else None
    assert (raises in outcome["error"]["types"]) if raises else (outcome["error"] is None)
    assert len(requests) == len(SAYS[cell.says])
    assert not any(asked(cell.upstream, each).stream for each in requests)
    check_turns(cell, outcome["turns"], usage=raises is None)


@cells(WHOLE, "fails")
def test_a_refusal_stays_one(cell: Cell, bench: Bench) -> None:
    outcome, _ = bench.play(cell)
    assert outcome["error"] is not None, "the SDK did not raise"
    assert outcome["error"]["status"] == 400


def check_turns(cell: Cell, turns: list[dict[str, Any]], *, usage: bool = True) -> None:
    says = SAYS[cell.says]
    assert len(turns) == len(says)
    for turn, said in zip(turns, says, strict=True):
        assert turn["text"] == said.text
        assert turn["finish"] == cell.client.finishes[said.finish]
        assert turn["reasoning"] == "".join(said.reasoning)
        assert [call["name"] for call in turn["tools"]] == [tool.name for tool in said.tools]
        assert [call["arguments"] for call in turn["tools"]] == [
            {"city": city} for city in ("Paris", "Köln")[: len(said.tools)]
        ]
        if usage:
            assert turn["usage"] == USAGE
