"""Ollama's own chat, POST /api/chat; its embeddings and its list of models are passed on beside it.

Stream: one JSON object to a line, the last of which says `done`; it is what a client gets that does not say
otherwise. `/api/generate`, and what pulls and makes models, are none of ours.
"""

import re
from dataclasses import replace

from protocols.base import Decoder, Editor, Translator
from protocols.framing.ndjson import LineDecoder, LineEncoder, is_line_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault
from protocols.model.http import Head, Paths, WireRequest, WireResponse, matched
from protocols.model.prompt import effort_said
from protocols.model.wirejson import JsonObject, error_answer, json_call
from protocols.ollama_chat.aggregate import OllamaFold
from protocols.ollama_chat.answer_read import LAST, AnswerReader, read_whole
from protocols.ollama_chat.answer_write import resumed_writer, write_answer, writer
from protocols.ollama_chat.continue_request import continue_request
from protocols.ollama_chat.losses import ABILITIES
from protocols.ollama_chat.prune import LinePruner
from protocols.ollama_chat.request_read import read_request, streams, thinking_of
from protocols.ollama_chat.request_write import write_request
from protocols.ollama_chat.retarget import retarget, with_limit, with_stream

_PATHS: Paths[Operation] = (
    ("POST", re.compile(r"/api/chat$"), Operation.GENERATE),
    ("POST", re.compile(r"/api/embed(?:dings)?$"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"/api/tags$"), Operation.MODELS),
)


class OllamaChat:
    """See the module's docstring."""

    name = "ollama_chat"
    aliases: tuple[str, ...] = ("ollama",)
    opens_with_lifecycle = False
    translator = Translator(
        abilities=ABILITIES,
        read_request=read_request,
        write_request=write_request,
        writer=writer,
        write_answer=write_answer,
    )
    editor = Editor(
        pruner=LinePruner,
        fold=OllamaFold,
        resume=resumed_writer,
        with_stream=with_stream,
        retarget=retarget,
        with_limit=with_limit,
        continue_request=continue_request,
        own_signatures=lambda body, _: body,  # there is no place for a signature
        wrap_signatures=lambda answer, _: answer,
    )

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
        stream = operation is Operation.GENERATE and streams(call.body)
        effort = effort_said(thinking_of(call.body.get("think")))
        return replace(call, stream=stream, reasoning=_reasoning(call.body), effort=effort)

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_line_stream(head, call):
            return LineDecoder(LAST, AnswerReader().read)
        return WholeDecoder(read_whole)

    def encoder(self, call: Call) -> LineEncoder:
        return LineEncoder(call, resumed_writer)

    def error(self, fault: Fault) -> WireResponse:
        """A text is all that clients take; they raise by the status."""
        return error_answer(fault, {"error": fault.message})


def _reasoning(body: JsonObject) -> Reasoning:
    think = body.get("think")
    if think is False:
        return Reasoning.OFF
    return Reasoning.ON if think else Reasoning.UNSAID


PROTOCOL = OllamaChat()
