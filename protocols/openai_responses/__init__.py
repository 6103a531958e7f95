"""OpenAI Responses, as OpenAI, Azure, ChatGPT's Codex, OpenRouter, xAI, DeepSeek and others speak it.

Stream: named events, each a JSON object with its `type` and mostly a `sequence_number`; a lifecycle event
opens it, items of output follow one another, and the last event holds the whole response. Measured over
recorded streams: item ids may change from event to event, so that the output index is what an item is known
by; the error event comes in a nested form, which SDKs raise on, and in a flat one, which they ignore.

`event_stream` alone frames events, so that another transport can carry the same ones.
"""

import re
from dataclasses import replace

from protocols.base import Decoder, Editor, Translator
from protocols.framing.sse import SseEncoder, is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault
from protocols.model.http import Head, Paths, WireRequest, WireResponse, matched
from protocols.model.prompt import effort_said
from protocols.model.wirejson import JsonObject, error_answer, json_call, load_object, object_at, text_at
from protocols.openai_responses.aggregate import ResponsesFold
from protocols.openai_responses.answer_read import read_answer
from protocols.openai_responses.answer_write import write_answer
from protocols.openai_responses.continue_request import continue_request
from protocols.openai_responses.error_words import error_object
from protocols.openai_responses.event_stream import ResponsesDecoder, resumed_writer, writer
from protocols.openai_responses.losses import ABILITIES
from protocols.openai_responses.prune import EventPruner
from protocols.openai_responses.request_read import read_request, thinking_of
from protocols.openai_responses.request_write import write_request
from protocols.openai_responses.retarget import retarget, with_limit, with_stream
from protocols.openai_responses.signatures import own_signatures, wrap_signatures
from protocols.openai_responses.tools import declared, is_acting, is_hosted

_PATHS: Paths[Operation] = (
    ("POST", re.compile(r"/responses$"), Operation.GENERATE),
    ("POST", re.compile(r"/responses/input_tokens$"), Operation.COUNT_TOKENS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)


class OpenAIResponses:
    """See the module's docstring."""

    name = "openai_responses"
    aliases: tuple[str, ...] = ("responses",)
    opens_with_lifecycle = True
    translator = Translator(
        abilities=ABILITIES,
        read_request=read_request,
        write_request=write_request,
        writer=writer,
        write_answer=write_answer,
    )
    editor = Editor(
        pruner=EventPruner,
        fold=ResponsesFold,
        resume=resumed_writer,
        with_stream=with_stream,
        retarget=retarget,
        with_limit=with_limit,
        continue_request=continue_request,
        own_signatures=own_signatures,
        wrap_signatures=wrap_signatures,
    )

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request, load_object)
        tools = [tool for _, _, tool in declared(call.body)]
        return replace(
            call,
            session=_session(call.body),
            reasoning=_reasoning(call.body),
            effort=effort_said(thinking_of(object_at(call.body, "reasoning"))),
            hosted=any(is_hosted(tool) for tool in tools),
            acting=any(is_acting(tool) for tool in tools),
            background=call.body.get("background") is True,
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        return ResponsesDecoder() if is_event_stream(head, call) else WholeDecoder(read_answer)

    def encoder(self, call: Call) -> SseEncoder:
        return SseEncoder(call, resumed_writer)

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": error_object(fault.kind, fault.message, fault.status)})


def _session(body: JsonObject) -> str | None:
    """A conversation is named by its id or is an object with one."""
    named = [text_at(body, name) for name in ("prompt_cache_key", "conversation")]
    named.append(text_at(object_at(body, "conversation"), "id"))
    return next((name for name in named if name), None)


def _reasoning(body: JsonObject) -> Reasoning:
    asked = object_at(body, "reasoning")
    if text_at(asked, "effort") == "none":
        return Reasoning.OFF
    return Reasoning.ON if any(value is not None for value in asked.values()) else Reasoning.UNSAID


PROTOCOL = OpenAIResponses()
