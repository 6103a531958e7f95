"""What the machine knows of what each attempt used, and whether the client got anything of it."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.http import Head
from protocols.model.parts import Usage
from protocols.model.wirejson import dump
from rewrite.values.decision import Ended
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.asks import ask, target_at
from tests.rewrite.continued import CUT, Answer, played
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    ROLE,
    SSE,
    TERMS,
    Spec,
    error_body,
    event,
    finishes,
    refused,
    says,
)

CONTINUES = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE)
SAID = ROLE + says("Hello wor")
END = says("ld, there") + finishes("stop")


def counts(**usage: object) -> bytes:
    """The last chunk of a chat."""
    return b"data: " + dump({"id": "c1", "model": "model", "choices": [], "usage": usage}) + b"\n\n"


COUNTED = counts(prompt_tokens=9, completion_tokens=4)


def attempts(call: Call, answers: Sequence[Answer], *specs: Spec, by: WireProtocol = CHAT) -> Sequence[Ended]:
    first, *others = specs or (TERMS,)
    return played(call, by, first, answers, others).summary.attempts


def chat(*answers: Answer, stream: bool = True, terms: Spec = TERMS) -> Sequence[Ended]:
    return attempts(ask("openai_chat", stream=stream), answers, terms)


def test_a_whole_answer_has_what_its_provider_counted() -> None:
    (one,) = chat(Answer(SAID + END + COUNTED + DONE))
    assert (one.usage, one.estimated) == (Usage(input=9, output=4), False)
    assert (one.given, one.served) == (True, "model")


def test_what_nobody_counted_is_estimated() -> None:
    call = ask("openai_chat")
    (one,) = chat(Answer(SAID + END + DONE))
    assert one.usage == Usage(input=-(-call.text_bytes // 4), output=5)
    assert one.estimated


def test_a_cut_answer_has_at_least_what_its_text_comes_to() -> None:
    said = event("message_start", message={"id": "m", "model": "claude", "usage": {"input_tokens": 30}})
    said += event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    said += event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello world!"})
    (one,) = attempts(ask("anthropic_messages"), [Answer(said, CUT)], by=ANTHROPIC)
    assert (one.usage, one.estimated, one.given) == (Usage(input=30, output=3), True, True)
    assert one.served == "claude"


def test_what_showed_nothing_is_counted_and_was_not_given() -> None:
    begun = event("message_start", message={"id": "m", "model": "claude", "usage": {"input_tokens": 30}})
    whole = begun + event("content_block_start", index=0, content_block={"type": "text", "text": "Hi"})
    whole += event("content_block_stop", index=0) + event("message_delta", delta={"stop_reason": "end_turn"})
    whole += event("message_delta", delta={}, usage={"output_tokens": 2}) + event("message_stop")
    answers = [Answer(begun, CUT), Answer(whole)]
    lost, given = attempts(ask("anthropic_messages"), answers, by=ANTHROPIC)
    assert (lost.usage, lost.given) == (Usage(input=30, output=0), False)
    assert (given.usage, given.given) == (Usage(input=30, output=2), True)


def test_a_refusal_used_nothing() -> None:
    head = refused(401)
    first, second = chat(Answer(error_body("no"), head=head), Answer(SAID + END + COUNTED + DONE))
    assert (first.usage, first.given, first.served) == (None, False, "")
    assert second.usage == Usage(input=9, output=4)


def test_each_part_of_a_continued_answer_has_its_own() -> None:
    answers = [Answer(SAID, CUT), Answer(ROLE + END + COUNTED + DONE)]
    first, second = chat(*answers, terms=CONTINUES)
    assert (first.given, first.estimated, first.usage and first.usage.output) == (True, True, 3)
    assert (second.given, second.estimated, second.usage) == (True, False, Usage(input=9, output=4))


def test_a_continuation_that_is_cut_too_has_what_is_new_in_it() -> None:
    answers = [Answer(SAID, CUT), Answer(ROLE + says("ld, there"), CUT), Answer(ROLE + END + COUNTED + DONE)]
    _, second, third = chat(*answers, terms=CONTINUES)
    assert (second.given, second.estimated, second.usage and second.usage.output) == (True, True, 3)
    assert third.given


def test_a_translated_answer_is_counted_by_its_provider() -> None:
    call = ask("anthropic_messages")
    usage = counts(
        prompt_tokens=9, completion_tokens=4, cost=0.25, prompt_tokens_details={"cached_tokens": 5}
    )
    (one,) = attempts(call, [Answer(SAID + END + usage + DONE)], target_at(call, "openai_chat"), by=ANTHROPIC)
    assert one.usage == Usage(input=9, output=4, cache_read=5, cost=0.25)
    assert (one.served, one.given, one.estimated) == ("model", True, False)


def test_a_translated_answer_that_is_cut_has_what_came_last() -> None:
    call, gemini = ask("anthropic_messages"), target_at(ask("anthropic_messages"), "gemini_generate")
    pieces = [_piece("Hello ", 3), _piece("world", 7)]
    (one,) = attempts(call, [Answer(b"".join(pieces), CUT)], gemini, by=ANTHROPIC)
    assert (one.usage, one.served) == (Usage(input=11, output=7), "gemini-x")


def _piece(text: str, output: int) -> bytes:
    content = {"role": "model", "parts": [{"text": text}]}
    counted = {"promptTokenCount": 11, "candidatesTokenCount": output}
    chunk = {
        "candidates": [{"content": content, "index": 0}],
        "usageMetadata": counted,
        "modelVersion": "gemini-x",
    }
    return b"data: " + dump(chunk) + b"\r\n\r\n"


def test_the_head_of_an_answer_may_say_what_it_cost() -> None:
    head = Head(200, (*SSE.headers, ("x-litellm-response-cost", "0.5")))
    (one,) = chat(Answer(SAID + END + COUNTED + DONE, head=head))
    assert one.usage == Usage(input=9, output=4, cost=0.5)


def test_what_generates_nothing_is_not_estimated() -> None:
    call = replace(ask("openai_chat", stream=False), operation=Operation.EMBEDDINGS)
    body = dump({"object": "list", "model": "model", "data": [], "usage": {"prompt_tokens": 8}})
    (one,) = attempts(call, [Answer(body, head=JSON)])
    assert (one.usage, one.estimated, one.given) == (Usage(input=8), False, True)
