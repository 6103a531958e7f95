"""What a trace records of attempts and of the answer."""

from dataclasses import replace
from typing import Any

import pytest

from protocols.model.call import Rendered
from protocols.model.http import Head, WireResponse
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Signature,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from rewrite.records.rendering import (
    DEEPEST,
    HIDDEN,
    LARGEST_BODY,
    Asked,
    Body,
    cut,
    rendered_answer,
    rendered_attempts,
    rendered_headers,
)
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Completed, Kind, Rejected, Truncated, Unreachable

TEXT, TOOL = BlockKind.TEXT, BlockKind.TOOL
SUMMARY = Summary("completed", "", (), Progress(), began=10.0, seconds=2.5, first_token=0.5, status=200)
ASKED = [
    Asked("openai/gpt", "POST", "https://api.openai.com/v1/chat/completions", None),
    Asked("anthropic/claude", "POST", "https://api.anthropic.com/v1/messages", b'{"model":"claude"}'),
]


def attempts(*ended: Ended) -> list[dict[str, Any]]:
    return [dict(one) for one in rendered_attempts(replace(SUMMARY, attempts=ended), ASKED)]


def answer(*parts: StreamPart, **changed: Any) -> dict[str, Any]:
    progress = Progress()
    progress.fold(parts)
    return dict(rendered_answer(replace(SUMMARY, progress=progress, **changed)))


def said(*parts: StreamPart) -> object:
    document = answer(*parts)["parts"]
    assert isinstance(document, Body)
    return document.read()


def test_an_attempt_names_its_target_its_key_and_its_times() -> None:
    (one,) = attempts(Ended(1, "main", Completed(), 12.5, sent=10.25))
    assert one == {
        "attempt": 1,
        "target": "openai/gpt",
        "credential": "main",
        "request": {"method": "POST", "url": ASKED[0].url},
        "sent": 0.25,
        "ended": 2.5,
        "outcome": "completed",
    }


def test_a_body_stands_once_and_only_where_it_is_not_the_clients() -> None:
    down = Unreachable("refused")
    found = attempts(
        Ended(1, "main", down, 11.0), Ended(2, "other", down, 12.0, 1), Ended(3, "third", down, 13.0, 1)
    )
    assert [one["request"].get("body") for one in found] == [None, Body(b'{"model":"claude"}'), None]
    assert [one["request"]["url"] for one in found] == [ASKED[0].url, ASKED[1].url, ASKED[1].url]
    assert "sent" not in found[0]


def test_one_that_continued_an_answer_is_recorded_with_what_it_asked() -> None:
    rest, cut = Rendered("/v1/messages", {"go": "on"}), Truncated("reset")
    found = attempts(
        Ended(1, "main", cut, 11.0),
        Ended(2, "other", cut, 12.0, 1, instead=rest),
        Ended(3, "third", Completed(), 13.0, 1),
    )
    bodies = [one["request"].get("body") for one in found]
    assert bodies == [None, Body(b'{"go":"on"}'), Body(b'{"model":"claude"}')]


def test_a_rejection_says_what_the_provider_said() -> None:
    refused = Rejected(429, Kind.RATE, "slow down", 3.0, WireResponse(429, (), b'{"error":1}'))
    (one,) = attempts(Ended(1, "main", refused, 11.0))
    assert (one["outcome"], one["message"], one["retry_after"]) == ("rejected(429 rate)", "slow down", 3.0)
    assert one["answer"] == Body(b'{"error":1}')
    (one,) = attempts(Ended(1, "main", Rejected(500, Kind.SERVER), 11.0))
    assert not {"message", "retry_after", "answer"} & one.keys()


def test_an_answer_is_put_together() -> None:
    assert said(
        ChoiceStart(0),
        BlockStart(0, 0, BlockKind.REASONING),
        BlockDelta(0, 0, BlockKind.REASONING, "Hm"),
        BlockStop(0, 0, Signature("signature", "c2ln")),
        BlockStart(0, 1, TEXT),
        BlockDelta(0, 1, TEXT, "Hel"),
        BlockDelta(0, 1, TEXT, "lo"),
        Annotation(0, 1, "https://a", "A"),
        BlockStop(0, 1),
        BlockStart(0, 2, TOOL, "call_1", "f"),
        BlockDelta(0, 2, TOOL, '{"a":'),
        BlockDelta(0, 2, TOOL, "1}"),
        BlockStop(0, 2),
    ) == [
        {"choice": 0, "kind": "reasoning", "text": "Hm", "signed": True},
        {"choice": 0, "kind": "text", "text": "Hello", "sources": [{"url": "https://a", "title": "A"}]},
        {"choice": 0, "kind": "tool_input", "id": "call_1", "name": "f", "input": {"a": 1}},
    ]


def test_half_a_call_is_reported_as_it_is() -> None:
    assert said(BlockStart(0, 0, TOOL, "call_1", "f"), BlockDelta(0, 0, TOOL, '{"a":')) == [
        {
            "choice": 0,
            "kind": "tool_input",
            "id": "call_1",
            "name": "f",
            "input": '{"a":',
            "unfinished": True,
        }
    ]


def test_what_a_second_beginning_tore_is_reported() -> None:
    first = (MessageStart("1", "m"), BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hel"))
    again = (MessageStart("2", "m"), BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hi"), BlockStop(0, 0))
    assert said(*first, *again) == [
        {"choice": 0, "kind": "text", "text": "Hel", "unfinished": True, "torn": True},
        {"choice": 0, "kind": "text", "text": "Hi"},
    ]


def test_how_an_answer_ended_is_recorded() -> None:
    document = answer(
        MessageStart("1", "gpt"),
        Finish(0, FinishReason.LENGTH, "max_tokens", "long"),
        UsageReport(Usage(input=3, output=4)),
        StreamError("overloaded", "busy"),
        end="truncated",
        detail="cut",
        estimated=True,
        head=Head(200, (("x-request-id", "r"), ("set-cookie", "a=b"))),
        body=b"{}",
    )
    assert document.pop("parts").read() == []
    assert document == {
        "status": 200,
        "headers": [["x-request-id", "r"], ["set-cookie", HIDDEN]],
        "end": "truncated",
        "detail": "cut",
        "seconds": 2.5,
        "first_token": 0.5,
        "model": "gpt",
        "usage": {"input": 3, "output": 4},
        "usage_estimated": True,
        "finishes": [{"choice": 0, "reason": "length", "native": "max_tokens", "detail": "long"}],
        "error": {"type": "overloaded", "message": "busy"},
        "body": Body(b"{}"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Cookie",
        "set-cookie",
        "x-api-key",
        "X-Auth-Token",
        "x-amz-signature",
        "x-a-jwt",
    ],
)
def test_headers_that_may_prove_who_someone_is_are_not_recorded(name: str) -> None:
    assert rendered_headers(((name, "value"),)) == [[name, HIDDEN]]


@pytest.mark.parametrize(
    "name", ["Accept", "x-ratelimit-remaining-tokens", "x-request-id", "openai-organization", "x-author"]
)
def test_other_headers_are(name: str) -> None:
    assert rendered_headers(((name, "value"), (name, "again"))) == [[name, "value"], [name, "again"]]


@pytest.mark.parametrize(
    ("data", "value"), [(b'{"a":[1]}', {"a": [1]}), (b"[1]", [1]), (b"a=1", "a=1"), (b"\xff", "�")]
)
def test_a_body_is_json_or_a_text(data: bytes, value: object) -> None:
    assert Body(data).read() == value


@pytest.mark.parametrize("levels", [DEEPEST + 1, 100_000])
def test_a_body_nested_too_deep_is_a_text(levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    assert Body(deep).read() == deep.decode()
    assert isinstance(Body(b"[" * DEEPEST + b"]" * DEEPEST).read(), list)


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert cut("a" * LARGEST_BODY) == "a" * LARGEST_BODY
    assert cut("é" * LARGEST_BODY) == {
        "cut": f"the first {LARGEST_BODY} of {2 * LARGEST_BODY} bytes",
        "text": "é" * (LARGEST_BODY // 2),
    }
    long = {"a": "b" * LARGEST_BODY}
    found = cut(long)
    assert isinstance(found, dict)
    assert (len(found["text"]), found["text"][:6]) == (LARGEST_BODY, '{"a":"')
    assert f"of {len(dump(long))} bytes" in found["cut"]
