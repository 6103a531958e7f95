"""Chunks put together as a whole answer."""

from typing import Any

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.gemini_generate.aggregate import GeminiFold
from protocols.model.call import Call, Operation


def chunk(*parts: dict[str, object], index: int = 0, **candidate: object) -> dict[str, object]:
    content = {"parts": list(parts), "role": "model"}
    return {
        "candidates": [{"content": content, "index": index, **candidate}],
        "modelVersion": "m",
        "responseId": "r",
    }


def partial(*pieces: dict[str, object], continues: bool = True) -> dict[str, object]:
    return chunk(
        {"functionCall": {"partialArgs": list(pieces), **({"willContinue": True} if continues else {})}}
    )


STOP = chunk(finishReason="STOP")
CALL: dict[str, object] = {"functionCall": {"name": "f", "args": {"x": 1}}}
BEGUN = chunk({"functionCall": {"name": "f", "id": "i", "willContinue": True}, "thoughtSignature": "s"})
PIECE: dict[str, object] = {"jsonPath": "$.city", "stringValue": "Bos", "willContinue": True}
REST: dict[str, object] = {"jsonPath": "$.city", "stringValue": "ton"}
BOSTON = {"functionCall": {"name": "f", "id": "i", "args": {"city": "Boston"}}, "thoughtSignature": "s"}


def whole(*chunks: dict[str, object], done: bool = True) -> dict[str, Any]:
    fold = GeminiFold()
    for each in chunks:
        fold.feed(each)
    found = fold.whole(done=done)
    assert found is not None
    return dict(found)


def parts(*chunks: dict[str, object], done: bool = True) -> list[dict[str, Any]]:
    (candidate,) = whole(*chunks, done=done)["candidates"]
    found = candidate["content"]["parts"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk({"text": "He"}), chunk({"text": "y"})], [{"text": "Hey"}]),
        (
            [
                chunk({"text": "h", "thought": True}),
                chunk({"text": "m", "thought": True}),
                chunk({"text": "Hi"}),
            ],
            [{"text": "hm", "thought": True}, {"text": "Hi"}],
        ),
        (
            [chunk({"text": "Hi"}), chunk({"text": "", "thoughtSignature": "s"})],
            [{"text": "Hi"}, {"text": "", "thoughtSignature": "s"}],
        ),
        (
            [chunk({"text": "a", "thoughtSignature": "s"}), chunk({"text": "b"})],
            [{"text": "a", "thoughtSignature": "s"}, {"text": "b"}],
        ),
        (
            [chunk({**CALL, "thoughtSignature": "s"}, CALL), chunk({"text": ""})],
            [{**CALL, "thoughtSignature": "s"}, CALL],
        ),
        ([chunk({"text": ""})], [{"text": ""}]),
        (
            [chunk({"inlineData": {"data": "x"}}), chunk({"text": "a"})],
            [{"inlineData": {"data": "x"}}, {"text": "a"}],
        ),
    ],
    ids=["text", "thoughts", "a signature alone", "a signed text", "parallel calls", "nothing", "a picture"],
)
def test_parts_pass_and_signatures_stay_on_theirs(
    chunks: list[dict[str, object]], expected: list[dict[str, object]]
) -> None:
    assert parts(*chunks, STOP) == expected


@pytest.mark.parametrize(
    ("chunks", "ended", "expected", "reason"),
    [
        ([BEGUN, partial(PIECE), partial(REST), chunk({"functionCall": {}})], True, [BOSTON], "STOP"),
        ([BEGUN, partial(PIECE), partial(REST, continues=False)], True, [BOSTON], "STOP"),
        ([BEGUN, partial(PIECE), partial(REST)], True, [BOSTON], "STOP"),
        ([BEGUN, partial(PIECE), partial(REST), chunk(CALL)], True, [BOSTON, CALL], "STOP"),
        ([BEGUN, partial(PIECE)], False, [], "MAX_TOKENS"),
        ([BEGUN, partial(PIECE), partial(REST), chunk(CALL)], False, [BOSTON, CALL], "MAX_TOKENS"),
        ([BEGUN, partial({"jsonPath": "strange", "stringValue": "x"})], True, [], "MALFORMED_FUNCTION_CALL"),
    ],
    ids=["closed", "ends itself", "by the stop", "by another", "cut", "cut after another", "no place"],
)
def test_arguments_that_come_piece_by_piece(
    chunks: list[dict[str, object]], ended: bool, expected: list[dict[str, object]], reason: str
) -> None:
    answer = whole(*chunks, *([STOP] if ended else []), done=ended)
    (candidate,) = answer["candidates"]
    assert (candidate["content"]["parts"], candidate["finishReason"]) == (expected, reason)


def test_all_that_is_said_of_an_answer_is_kept_the_last_value_of_it() -> None:
    first = {**chunk({"text": "a"}), "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}
    rated = chunk({"text": "b"}, safetyRatings=[1], citationMetadata={"citationSources": [{"uri": "u"}]})
    last = {
        **chunk(finishReason="STOP", safetyRatings=[2], citationMetadata={"citationSources": [{"uri": "v"}]}),
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
        "odd": 1,
    }
    answer = whole(first, rated, last)
    (candidate,) = answer["candidates"]
    assert answer["usageMetadata"] == {"promptTokenCount": 3, "candidatesTokenCount": 2}
    assert (answer["modelVersion"], answer["responseId"], answer["odd"]) == ("m", "r", 1)
    assert candidate["safetyRatings"] == [2]
    assert candidate["citationMetadata"] == {"citationSources": [{"uri": "u"}, {"uri": "v"}]}


def test_sources_and_probabilities_are_kept() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "u"}}]}
    said = chunk({"text": "a"}, logprobsResult={"chosenCandidates": [1]}, groundingMetadata=grounding)
    more = chunk(
        finishReason="STOP",
        logprobsResult={"chosenCandidates": [2]},
        groundingMetadata={"webSearchQueries": ["q"]},
    )
    (candidate,) = whole(said, more)["candidates"]
    assert candidate["logprobsResult"] == {"chosenCandidates": [1, 2]}
    assert candidate["groundingMetadata"] == {**grounding, "webSearchQueries": ["q"]}


def test_candidates_stay_apart() -> None:
    found = whole(
        chunk({"text": "b"}, index=1), chunk({"text": "a"}), chunk(index=1, finishReason="MAX_TOKENS"), STOP
    )["candidates"]
    assert [(each["content"]["parts"], each["finishReason"]) for each in found] == [
        ([{"text": "a"}], "STOP"),
        ([{"text": "b"}], "MAX_TOKENS"),
    ]


def test_a_prompt_that_was_refused_has_no_candidates() -> None:
    refused: dict[str, object] = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 3},
    }
    assert whole(refused) == refused


def test_the_envelope_of_code_assist_stays() -> None:
    found = whole({"response": chunk({"text": "a"}), "traceId": "t"}, {"response": STOP, "traceId": "t"})
    assert found["traceId"] == "t"
    assert found["response"]["candidates"][0]["content"]["parts"] == [{"text": "a"}]


def test_without_a_chunk_there_is_no_answer() -> None:
    assert GeminiFold().whole(done=True) is None


@pytest.mark.parametrize(
    ("whole_target", "streamed_target"),
    [
        ("/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse"),
        (
            "/v1beta/models/m:generateContent?a=b&alt=json",
            "/v1beta/models/m:streamGenerateContent?a=b&alt=sse",
        ),
        ("/v1internal:generateContent", "/v1internal:streamGenerateContent?alt=sse"),
    ],
)
def test_the_path_says_how_it_is_asked(whole_target: str, streamed_target: str) -> None:
    call = Call("c", PROTOCOL.name, Operation.GENERATE, "m", False, (), {"contents": []}, target=whole_target)
    streamed = PROTOCOL.editor.with_stream(call, True)
    assert (streamed.target, streamed.stream, streamed.body) == (streamed_target, True, call.body)
    back = PROTOCOL.editor.with_stream(streamed, False)
    assert (back.target, back.stream) == (whole_target.replace("&alt=json", ""), False)
