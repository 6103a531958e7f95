"""A protocol that has nothing but the first facet of the seam: its calls pass as they are, end honestly, and
go nowhere else."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Call, Operation, Reply
from protocols.model.errors import Untranslatable
from protocols.model.http import Head, WireRequest
from protocols.model.wirejson import dump
from protocols.registry import Registry, discover
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.targets.wanted import Wanted
from rewrite.values.timeouts import OnTruncation
from tests.pigeon import PROTOCOL
from tests.rewrite.asks import ask
from tests.rewrite.asks import wanted as how
from tests.rewrite.replay import ONCE, Replay, replay
from tests.rewrite.scenes import Spec

REGISTRY = Registry([*discover(), PROTOCOL])
LINES = Head(200, (("content-type", "application/x-pigeon"),))
TEXT = b'{"text":"Hel"}\n{ "text" : "lo" }\r\n'
END = b'{"end":"stop"}\n'
BODY = b'{"model": "m",  "say": "Hi"}'
SEALED = b'{"model":"m","say":"cm90YXRvcjEAe30="}'


def call(body: bytes = BODY) -> Call:
    return PROTOCOL.parse("c", Operation.GENERATE, WireRequest("POST", "/coo", (), body))


def wanted(protocol: str = "pigeon", model: str = "m", *, original: bool = True, path: str = "") -> Wanted:
    paths = {protocol: path} if path else {}
    provider = Provider("loft", "https://loft.example", ("loft.example",), (protocol,), paths=paths)
    route = Route(provider, protocol, model, original)
    return how(route, (), Reply("rot1", "m", 0), spoken=REGISTRY[protocol])


def target(want: Wanted, asked: Call | None = None) -> Target:
    return target_of(asked or call(), PROTOCOL, want)


def passed(answer: bytes, terms: Spec = ONCE) -> Replay:
    return replay(PROTOCOL, [answer], head=LINES, terms=terms, call=call())


def test_its_calls_and_answers_pass_byte_for_byte() -> None:
    assert target(wanted()).rendered is None
    assert target(wanted()).untouched
    got = passed(TEXT + END)
    assert (got.head, got.body, got.summary.end) == (LINES, TEXT + END, "completed")


@pytest.mark.parametrize("mode", OnTruncation)
def test_an_answer_that_is_cut_ends_as_length_or_an_error_and_is_not_continued(mode: OnTruncation) -> None:
    terms = structs.replace(ONCE, on_truncation=mode, continuations=3)
    got = passed(TEXT, replace(target(wanted()), terms=terms))
    end = b'{"error":' if mode is OnTruncation.ERROR else b'{"end":"length"}\n'
    assert got.attempts == 1
    assert got.body.startswith(TEXT + end)


def test_an_error_of_ours_is_in_its_words() -> None:
    got = replay(PROTOCOL, [], head=LINES, call=call(), cause="reset")
    assert got.head.status == 502
    assert got.body.startswith(b'{"error":')


def test_no_tool_call_is_held_back() -> None:
    found = target(structs.replace(wanted(), hold_tool_calls=True))
    assert not found.hold_tool_calls
    assert found.untouched


@pytest.mark.parametrize("streams", [True, False])
def test_it_is_asked_as_its_client_asked(streams: bool) -> None:
    body = dump({"model": "m", "whole": streams})
    want = structs.replace(wanted(), force_stream=True)
    provider = replace(want.route.provider, streams=streams)
    found = target(structs.replace(want, route=replace(want.route, provider=provider)), call(body))
    assert (found.rendered, found.other_mode, found.call.stream) == (None, None, not streams)


def test_it_goes_to_another_provider_as_it_is() -> None:
    found = target(structs.replace(wanted(original=False), enveloped=True), call(SEALED))
    assert found.rendered
    assert (found.rendered.path, dump(found.rendered.body)) == ("/coo", SEALED)
    assert found.untouched


@pytest.mark.parametrize(
    "want", [wanted(model="n", original=False), wanted(model="n"), wanted(original=False, path="/x")]
)
def test_it_goes_to_no_other_model_nor_path(want: Wanted) -> None:
    with pytest.raises(Untranslatable, match="requests of pigeon are passed on as they are"):
        target(want)


def test_it_is_not_translated() -> None:
    with pytest.raises(Untranslatable, match="pigeon is passed on as it is, and not translated"):
        target(wanted("openai_chat", original=False))
    chat = ask("openai_chat")
    with pytest.raises(Untranslatable, match="pigeon is passed on as it is, and not translated"):
        target_of(chat, REGISTRY["openai_chat"], wanted(original=False))
