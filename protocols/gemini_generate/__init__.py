"""Gemini's generateContent and streamGenerateContent, at Google AI Studio, Vertex AI and Code Assist.

The path names the model and says whether the answer is streamed: as events with `?alt=sse`, else as one
JSON array whose items come one by one. Neither has a last frame of its own but the array's bracket: a
stream is complete when every candidate has a finish reason. Measured: google-genai knows `data: ` lines and
blank ones, and fails on comments and on lines that name an event; errors are one object in each form.
Code Assist (`/v1internal:...`) holds the request in `{"model", "project", "request"}` and each answer in
`{"response"}`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from protocols.base import Abilities, Carry, Decoder, Keep
from protocols.framing.json_array import ArrayDecoder
from protocols.framing.sse import is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.gemini_generate.aggregate import GeminiFold
from protocols.gemini_generate.answer_read import ChunkReader, EventDecoder, read_whole
from protocols.gemini_generate.answer_write import GeminiEncoder, GeminiWriter, names_of, whole_answer
from protocols.gemini_generate.continue_request import continued
from protocols.gemini_generate.losses import HAPPENS, UNREAD
from protocols.gemini_generate.prune import ChunkPruner
from protocols.gemini_generate.request_read import ask, thinking_of
from protocols.gemini_generate.request_write import LACKS, path_of, render
from protocols.gemini_generate.retarget import renamed, sealed, turned, unsealed
from protocols.gemini_generate.shapes import (
    FINISH_REASONS,
    asked,
    fault_object,
    form_of,
    hosted_tools,
    spelled,
)
from protocols.model.call import Call, Destination, Operation, Reasoning, Rendered, Reply
from protocols.model.errors import Fault, Untranslatable
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.prompt import MediaForm, MediaKind, Prompt, effort_said
from protocols.model.wirejson import JsonObject, count_at, error_answer, object_at, text_at
from protocols.shared.calls import Paths, json_call, matched
from protocols.shared.losses import WRAPPED_ARGUMENTS, told

__all__ = ["FINISH_REASONS", "PROTOCOL", "GeminiGenerate"]

_MODEL = (
    r"(?:/v\d\w*|^)(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/google)?"
    r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+)"
)
_INTERNAL = r"(?:^|/)v\d+internal"


def _path(methods: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{_MODEL}|{_INTERNAL}):(?:{methods})$")


_PATHS: Paths = (
    ("POST", _path("generateContent|streamGenerateContent"), Operation.GENERATE),
    ("POST", _path("countTokens"), Operation.COUNT_TOKENS),
    ("POST", _path("embedContent|batchEmbedContents"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"(?:/v\d\w*|^)(?:/publishers/google)?/models$"), Operation.MODELS),
)
_NAMED = re.compile(r"/(?P<kind>models|tunedModels|endpoints)/(?P<model>[^/:]+):(?P<method>\w+)$")
_TAKEN = frozenset({MediaForm.DATA, MediaForm.URL})

_ENVELOPE = "/v1internal"


class GeminiGenerate:
    """See the module's docstring."""

    name = "gemini_generate"
    aliases: tuple[str, ...] = ("gemini", "google_gemini", "generate_content")
    opens_with_lifecycle = False
    abilities = Abilities(
        lacks=LACKS,
        media=dict.fromkeys(MediaKind, _TAKEN),
        whole_tool_calls=True,
        several_choices=True,
        happens=HAPPENS,
        unread=UNREAD,
        losses={
            "system messages": "one in the middle of a conversation becomes a text of the user",
            "tool arguments": WRAPPED_ARGUMENTS,
            "tool results": "their media stand behind them, in the same turn",
            "schemas": "strict, and an answer's name and description, are left out",
            "images": "how closely they are to be looked at, and what media are called, is left out",
            "cache breakpoints": "are left out: prefixes are cached by themselves",
            "thinking": "a level above high is high; a model that thinks by level is never silent",
            "thinking budget": "kept within what models of 2.5 take",
            "reasoning": "goes back only with a signature of this protocol",
            "parts": "which piece of a client's video counts, how closely a part is looked at, and its "
            "metadata are left out",
            "order of properties": "that a client's schema asks for is left out",
            "hosted tools": "what those of another provider did is left out of an answer",
            "log probabilities": "are left out of an answer",
            "sources": "are kept without their place in the text",
            "refusals": "become text",
        },
    )

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        """A conversation is known by Code Assist's session; a cache by the account that made it, so that
        its calls stay together too."""
        target = request.target
        call = replace(json_call(self.name, call_id, operation, request), target=target, stream=False)
        if operation is Operation.MODELS:
            return call
        found = _NAMED.search(target.partition("?")[0])
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
        return GeminiEncoder(form_of(call))

    def pruner(self) -> ChunkPruner:
        return ChunkPruner()

    def error(self, fault: Fault) -> WireResponse:
        """A bare object also where an array was asked for: SDKs take it by its status."""
        return error_answer(fault, fault_object(fault))

    def streamed(self, call: Call, *, stream: bool) -> Call:
        """The path says it; the body is the same."""
        target = turned(call.target, stream=stream)
        return call if target == call.target else replace(call, target=target, stream=stream)

    def fold(self) -> GeminiFold:
        return GeminiFold()

    def ask(self, call: Call) -> Prompt:
        return ask(call)

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        return told(render(prompt, destination), prompt, destination, self.abilities)

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        return Rendered(_retargeted(call, destination), renamed(call.body, destination.model))

    def continued(self, body: Mapping[str, object], said: str, ask: str) -> Mapping[str, object]:
        return continued(body, said, ask)

    def unsealed(self, body: Mapping[str, object], keep: Keep) -> Mapping[str, object]:
        return unsealed(body, keep)

    def sealed(self, answer: Mapping[str, object], carry: Carry) -> Mapping[str, object]:
        return sealed(answer, carry)

    def writer(self, call: Call, reply: Reply) -> GeminiWriter:
        return GeminiWriter(form_of(call), names_of(reply))

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        return whole_answer(form_of(call), reply, progress)


def _reasoning(body: JsonObject) -> Reasoning:
    thinking = spelled(object_at(spelled(object_at(body, "generationConfig")), "thinkingConfig"))
    if count_at(thinking, "thinkingBudget") == 0:
        return Reasoning.OFF
    asks = count_at(thinking, "thinkingBudget") or text_at(thinking, "thinkingLevel")
    return Reasoning.ON if asks or thinking.get("includeThoughts") is True else Reasoning.UNSAID


def _retargeted(call: Call, destination: Destination) -> str:
    """The call's own version and method, and of its query how the stream is framed: the rest is for the
    provider that was called. A tuned model is asked for in a place of its own.

    Raises Untranslatable where only one of the two has the envelope of Code Assist.
    """
    path, _, asked = call.target.partition("?")
    query = "&".join(pair for pair in asked.split("&") if pair.startswith("alt="))
    mark = "?" if query else ""
    found = _NAMED.search(path)
    if destination.path and (_ENVELOPE in path) != (_ENVELOPE in destination.path):
        raise Untranslatable("request", "the envelope of Code Assist is not taken elsewhere, nor made here")
    if destination.path and call.operation is not Operation.MODELS:
        return path_of(destination, path.rpartition(":")[2], query)
    if found is None:
        return path + mark + query
    holder = "/publishers/google" if found["kind"] == "endpoints" else ""
    named = path_of(replace(destination, path=holder + "/models/{model}:{method}"), found["method"], "")
    return path[: found.start()] + named + mark + query


PROTOCOL = GeminiGenerate()
