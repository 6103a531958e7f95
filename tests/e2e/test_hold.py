"""Tool calls that are held, as OpenAI's SDK sees them in a stream of Responses, raw and through its helper.

Chat and Messages are rows of the fault table, in the mode `hold`.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.vendor import Reset, Tool, VendorThread, streamed
from tests.vendor.responses import responses_stream

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[streaming]
hold_tool_calls = true
"""
KEYS = {"ONE": "sk-pool-one"}
WHOLE = Tool("get_weather", ('{"ci', 'ty": "Paris"}'))
CUT = Tool("get_time", ('{"ci', 'ty": "Par', 'is"}'))
JOB = {"model": "gpt-5-mini", "prompt": "Hello", "tools": True}


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("hold")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running


def answer(texts: tuple[str, ...], *tools: Tool) -> list[bytes]:
    """As far as the last call's arguments are halves."""
    events = responses_stream(texts, tools=tools)
    after = next(at for at, event in enumerate(events) if b'"delta":"is\\"}"' in event)
    return events[:after]


def result(proxy: Proxy, mode: str) -> dict[str, Any]:
    jobs = [{**JOB, "mode": mode}]
    (outcome,) = sdk.run("openai-current", "turns_responses", proxy.environment(), jobs=jobs)["results"]
    assert isinstance(outcome, dict)
    return outcome


def turn(outcome: dict[str, Any]) -> dict[str, Any]:
    (only,) = outcome["turns"]
    assert isinstance(only, dict)
    return only


def test_a_cut_call_is_left_out_of_what_there_was(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(streamed(answer(("one ", "two "), CUT), Reset()))
    outcome = result(proxy, "raw")
    assert outcome["error"] is None
    assert (turn(outcome)["text"], turn(outcome)["tools"]) == ("one two ", [])
    assert turn(outcome)["finish"] == "incomplete:max_output_tokens"
    assert "the tool call 'get_time' was cut and left out" in proxy.wait_log("left out")


def test_the_helper_takes_it_for_what_it_takes_every_incomplete_response(
    proxy: Proxy, vendor: VendorThread
) -> None:
    """It folds every event into a response of its own, and raises at the end unless that is completed."""
    vendor.reply(streamed(answer(("one ", "two "), CUT), Reset()))
    outcome = result(proxy, "helper")
    assert (turn(outcome)["text"], turn(outcome)["finish"]) == ("one two ", "incomplete:max_output_tokens")
    assert outcome["error"]["message"] == "Didn't receive a `response.completed` event."


def test_a_whole_call_is_given_though_the_next_one_is_cut(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(streamed(answer(("one ",), WHOLE, CUT), Reset()))
    outcome = result(proxy, "raw")
    calls = [(call["name"], call["arguments"]) for call in turn(outcome)["tools"]]
    assert (outcome["error"], calls) == (None, [("get_weather", {"city": "Paris"})])
    assert turn(outcome)["finish"] == "incomplete:max_output_tokens"


@pytest.mark.parametrize("mode", ["raw", "helper"])
def test_nothing_but_a_cut_call_is_asked_for_again_unseen(
    mode: str, proxy: Proxy, vendor: VendorThread
) -> None:
    before = len(vendor.requests)
    vendor.reply(streamed(answer((), CUT), Reset())).reply(streamed(responses_stream((), tools=[CUT])))
    outcome = result(proxy, mode)
    assert outcome["error"] is None
    assert [call["arguments"] for call in turn(outcome)["tools"]] == [{"city": "Paris"}]
    assert (turn(outcome)["finish"], len(vendor.requests) - before) == ("completed", 2)
