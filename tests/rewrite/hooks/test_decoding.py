"""Answers as hooks read them: parts changed and left out, usage added, what is untouched byte for byte."""

from dataclasses import replace

from protocols.model.call import Call, Operation
from protocols.model.http import Head
from protocols.model.parts import StreamEnd, Usage, UsageReport
from protocols.model.wirejson import JsonObject
from protocols.registry import discover
from rewrite.hooks.base import About, Hooks
from rewrite.hooks.calling import CallHooks, ProviderHooks
from rewrite.hooks.decoding import hooked, with_usage

CHAT = discover()["openai_chat"]
CALL = Call("1", "openai_chat", Operation.GENERATE, "m", True, ())
ABOUT = About("acme", "openai_chat", "m", Operation.GENERATE, True)
SSE = Head(200, (("content-type", "text/event-stream"),))
JSON = Head(200, (("content-type", "application/json"),))
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
OTHER = b'data: {"acme":{"choices":[{"index":0,"delta":{"content":"Hi"}}]}}\n\n'
INNER = b'data: {"internal":1}\n\n'
DONE = b"data: [DONE]\n\n"


class Acme(Hooks):
    def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
        if "internal" in part:
            return None
        inner = part.get("acme")
        return inner if isinstance(inner, dict) else part

    def read_usage(self, part: JsonObject, about: About) -> Usage | None:
        return Usage(1, 2) if "choices" in part else None

    def list_models(self, listing: object, about: About) -> object:
        return {"data": listing}


def hooks(about: About = ABOUT) -> CallHooks:
    return CallHooks(ProviderHooks("acme", Acme()), about)


def test_events_are_read_and_those_that_do_not_change_keep_their_bytes() -> None:
    decoder = hooked(CHAT.decoder(CALL, SSE), hooks())
    segments = [*decoder.feed(TEXT + INNER + OTHER + DONE), *decoder.eof()]
    assert [segment.raw for segment in segments] == [TEXT, TEXT, DONE]
    said = [part for segment in segments for part in decoder.read(segment)]
    assert said.count(UsageReport(Usage(1, 2))) == 2


def test_a_whole_answer_is_read() -> None:
    decoder = hooked(CHAT.decoder(replace(CALL, stream=False), JSON), hooks())
    decoder.feed(b'{"acme":{"choices":[]}}')
    (segment,) = decoder.eof()
    assert segment.raw == b'{"choices":[]}'
    assert UsageReport(Usage(1, 2)) in decoder.read(segment)


def test_a_whole_answer_is_never_left_out() -> None:
    decoder = hooked(CHAT.decoder(replace(CALL, stream=False), JSON), hooks())
    for body in (b'{"internal": 1}', b"no json", b"[1, 2]"):
        decoder.feed(body)
        assert [segment.raw for segment in decoder.eof()] == [body]


def test_a_list_of_models_may_be_any_json() -> None:
    listing = replace(CALL, operation=Operation.MODELS, stream=False)
    decoder = hooked(CHAT.decoder(listing, JSON), hooks(replace(ABOUT, operation=Operation.MODELS)))
    decoder.feed(b'["a"]')
    assert [segment.raw for segment in decoder.eof()] == [b'{"data":["a"]}']


def test_hooks_that_read_nothing_cost_nothing() -> None:
    inner = CHAT.decoder(CALL, SSE)
    assert hooked(inner, CallHooks(ProviderHooks("acme", Hooks()), ABOUT)) is inner


def test_usage_stands_before_the_end() -> None:
    assert with_usage([StreamEnd()], Usage(1)) == [UsageReport(Usage(1)), StreamEnd()]
