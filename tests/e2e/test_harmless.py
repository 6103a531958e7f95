"""No tool runs with half of its arguments, wherever the stream is cut, with agents that would run it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pytest

from tests.e2e import sdk as sdks
from tests.e2e.proxy import Proxy
from tests.e2e.wires import ARGUMENTS, CHAT, MESSAGES, Wire
from tests.vendor import VendorThread, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
[providers.anthropic]
base_url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """A client program that runs tools. `whole`: a part of the first event after whole arguments."""

    sdk: str
    client: str
    wire: Wire
    whole: bytes


AGENTS = (
    Agent("langchain", "langchain_chat", CHAT, b'"finish_reason":"tool_calls"'),
    Agent("anthropic-older", "anthropic_tools", MESSAGES, b"content_block_stop"),
)
each_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.client)


type Turns = list[dict[str, Any]]


class Stage:
    """A provider, and the proxy before it. An agent plays all of its streams when the first is asked for."""

    def __init__(self, vendor: VendorThread, proxy: Proxy) -> None:
        self.vendor, self.proxy = vendor, proxy
        self._played: dict[str, dict[Callable[[Agent], list[bytes]], Turns]] = {}

    def turns(self, agent: Agent, streams: Callable[[Agent], list[bytes]]) -> Turns:
        """What becomes of the agent's turns when the provider's streams end as given, in good order."""
        if agent.client not in self._played:
            lists = [each(agent) for each in STREAMS]
            turns = iter(self._turns(agent, list(chain(*lists)), {}))
            played = [list(islice(turns, len(each))) for each in lists]
            self._played[agent.client] = dict(zip(STREAMS, played, strict=True))
        return self._played[agent.client][streams]

    def turns_without_proxy(self, agent: Agent, streams: list[bytes]) -> Turns:
        return self._turns(agent, streams, {"base_url": f"{self.vendor.base_url}{agent.wire.base_path}"})

    def _turns(self, agent: Agent, streams: list[bytes], options: dict[str, Any]) -> Turns:
        before = len(self.vendor.requests)
        for stream in streams:
            self.vendor.on(path=agent.wire.path).reply(streamed([stream]))
        environment = self.proxy.environment() | {"NO_PROXY": "127.0.0.1"}
        job = {"options": options, "calls": len(streams)}
        answer = sdks.run(agent.sdk, agent.client, environment, timeout=120, **job)
        assert len(self.vendor.requests) == before + len(streams), "one attempt for each turn"
        return list(answer["calls"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("harmless")
    with VendorThread() as vendor, Proxy(folder, CONFIG.format(url=vendor.base_url)) as proxy:
        yield Stage(vendor, proxy)


def cut_between_characters(agent: Agent) -> list[bytes]:
    """Every character of the arguments in an event of its own; cut after each, and before the first."""
    events = agent.wire.tool(list(ARGUMENTS))
    after = _position(events, agent.whole)
    first = after - len(ARGUMENTS)
    return [b"".join(events[:end]) for end in range(first, after + 1)]


def cut_at_every_byte(agent: Agent) -> list[bytes]:
    """All arguments in one event; cut at every byte of the wire from its first one on."""
    events = agent.wire.tool([ARGUMENTS])
    after = _position(events, agent.whole)
    start = len(b"".join(events[: after - 1]))
    whole = b"".join(events)
    return [whole[:end] for end in range(start, len(b"".join(events[:after])) + 1)]


def _position(events: list[bytes], text: bytes) -> int:
    return next(number for number, event in enumerate(events) if text in event)


def whole(agent: Agent) -> list[bytes]:
    return [b"".join(agent.wire.tool())]


def cut_after_whole_arguments(agent: Agent) -> list[bytes]:
    events = agent.wire.tool()
    data, end = b"".join(events), len(b"".join(events[: _position(events, agent.whole)]))
    return [data[:cut] for cut in range(end, len(data), 7)]


STREAMS = (cut_between_characters, cut_at_every_byte, whole, cut_after_whole_arguments)


@each_agent
@pytest.mark.parametrize("cuts", [cut_between_characters, cut_at_every_byte])
def test_a_cut_call_is_never_run(agent: Agent, cuts: Any, stage: Stage) -> None:
    turns = stage.turns(agent, cuts)
    assert len(turns) == len(cuts(agent))
    for turn in turns:
        assert turn["ran"] == []
        assert "do not run the partial call" in turn["error"]


@each_agent
def test_a_whole_call_is_run_once(agent: Agent, stage: Stage) -> None:
    (turn,) = stage.turns(agent, whole)
    assert turn == {"ran": [json.loads(ARGUMENTS)], "error": None}


@each_agent
def test_after_whole_arguments_the_call_runs_whole_or_not_at_all(agent: Agent, stage: Stage) -> None:
    for turn in stage.turns(agent, cut_after_whole_arguments):
        assert turn["ran"] in ([], [json.loads(ARGUMENTS)])


@each_agent
def test_without_the_proxy_half_a_call_is_run(agent: Agent, stage: Stage) -> None:
    turns = stage.turns_without_proxy(agent, cut_between_characters(agent)[1:-1])
    assert any(turn["ran"] not in ([], [json.loads(ARGUMENTS)]) for turn in turns)
