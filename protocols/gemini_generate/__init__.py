"""Gemini's generateContent and streamGenerateContent, at Google AI Studio, Vertex AI and Code Assist.

The path names the model and says whether the answer is streamed: as events with `?alt=sse`, else as one
JSON array whose items come one by one. Neither has a last frame of its own but the array's bracket: a
stream is complete when every candidate has a finish reason. Measured: google-genai knows `data: ` lines and
blank ones, and fails on comments and on lines that name an event; errors are one object in each form.
Code Assist (`/v1internal:...`) holds the request in `{"model", "project", "request"}` and each answer in
`{"response"}`.
"""

import re
from dataclasses import replace
from urllib.parse import unquote

from protocols.base import Decoder, Editor, Translator
from protocols.framing.json_array import ArrayDecoder
from protocols.framing.sse import is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.gemini_generate.aggregate import GeminiFold
from protocols.gemini_generate.answer_read import ChunkReader, EventDecoder, read_whole
from protocols.gemini_generate.answer_write import GeminiEncoder, resumed_writer, write_answer, writer
from protocols.gemini_generate.continue_request import continue_request
from protocols.gemini_generate.error_words import fault_object
from protocols.gemini_generate.losses import ABILITIES
from protocols.gemini_generate.prune import ChunkPruner
from protocols.gemini_generate.request_forms import asked, hosted_tools, spelled
from protocols.gemini_generate.request_read import read_request, thinking_of
from protocols.gemini_generate.request_write import write_request
from protocols.gemini_generate.retarget import NAMED, retarget, unwrap, with_limit, with_stream
from protocols.gemini_generate.signatures import own_signatures, wrap_signatures
from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault
from protocols.model.http import Head, Paths, WireRequest, WireResponse, matched
from protocols.model.prompt import effort_said
from protocols.model.wirejson import (
    JsonObject,
    count_at,
    error_answer,
    json_call,
    load_object,
    object_at,
    text_at,
)

_MODEL = (
    r"(?:/v\d\w*|^)(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/google)?"
    r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"
)
_INTERNAL = r"(?:^|/)v\d+internal"


def _path(methods: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{_MODEL}|{_INTERNAL}):(?:{methods})$")


_PATHS: Paths[Operation] = (
    ("POST", _path("generateContent|streamGenerateContent"), Operation.GENERATE),
    ("POST", _path("countTokens"), Operation.COUNT_TOKENS),
    ("POST", _path("embedContent|batchEmbedContents"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"(?:/v\d\w*|^)(?:/publishers/google)?/models$"), Operation.MODELS),
)


class GeminiGenerate:
    """See the module's docstring."""

    name = "gemini_generate"
    aliases: tuple[str, ...] = ("gemini", "google_gemini", "generate_content")
    opens_with_lifecycle = False
    translator = Translator(
        abilities=ABILITIES,
        read_request=read_request,
        write_request=write_request,
        writer=writer,
        write_answer=write_answer,
    )
    editor = Editor(
        pruner=ChunkPruner,
        fold=GeminiFold,
        resume=resumed_writer,
        with_stream=with_stream,
        retarget=retarget,
        with_limit=with_limit,
        continue_request=continue_request,
        own_signatures=own_signatures,
        wrap_signatures=wrap_signatures,
        unwrap=unwrap,
    )

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        """A conversation is known by Code Assist's session; a cache by the account that made it, so that
        its calls stay together too."""
        target = request.target
        call = json_call(self.name, call_id, operation, request, load_object)
        call = replace(call, target=target, stream=False)
        if operation is Operation.MODELS:
            return call
        found = NAMED.search(target.partition("?")[0])
        generates = operation is Operation.GENERATE
        body = asked(call)
        hosted, acting = hosted_tools(body)
        return replace(
            call,
            model=unquote(found["model"]) if found else call.model,
            stream=generates and ":streamGenerateContent" in target,
            session=text_at(body, "sessionId") or text_at(body, "cachedContent") or None,
            reasoning=_reasoning(body),
            effort=effort_said(thinking_of(spelled(object_at(body, "generationConfig")))),
            hosted=hosted,
            acting=acting,
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_event_stream(head, call):
            return EventDecoder()
        return ArrayDecoder(ChunkReader().read) if call.stream else WholeDecoder(read_whole)

    def encoder(self, call: Call) -> GeminiEncoder:
        return GeminiEncoder(call)

    def error(self, fault: Fault) -> WireResponse:
        """A bare object also where an array was asked for: SDKs take it by its status."""
        return error_answer(fault, fault_object(fault))


def _reasoning(body: JsonObject) -> Reasoning:
    thinking = spelled(object_at(spelled(object_at(body, "generationConfig")), "thinkingConfig"))
    if count_at(thinking, "thinkingBudget") == 0:
        return Reasoning.OFF
    asks = count_at(thinking, "thinkingBudget") or text_at(thinking, "thinkingLevel")
    return Reasoning.ON if asks or thinking.get("includeThoughts") is True else Reasoning.UNSAID


PROTOCOL = GeminiGenerate()
