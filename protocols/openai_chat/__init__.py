"""OpenAI Chat Completions, with the quirks of the providers that are compatible with it.

Stream: data-only events, one chunk object each, ended by `data: [DONE]`. Measured over recorded streams
of 18 providers: the first chunk is not the first token (role only, Azure's empty preamble, DeepSeek's
empty reasoning); reasoning comes as `reasoning_content` or `reasoning`, from Mistral as content arrays;
usage comes in a chunk of its own, in the finish chunk, or in each; an error comes as `{"error": ...}`,
from Groq under `event: error`, from OpenRouter on an ordinary chunk that more chunks follow.

Embeddings and the list of models are operations of it, passed on within the protocol and never translated:
they live beside the chat path with the same keys and errors. A provider that has nothing else may name
the protocol `openai_embeddings`.
"""

import re
from dataclasses import replace

from protocols.base import Decoder, Editor, Translator
from protocols.framing.sse import DONE, SseDecoder, SseEncoder, is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Operation, Reasoning
from protocols.model.errors import Fault
from protocols.model.http import Head, Paths, WireRequest, WireResponse, matched
from protocols.model.prompt import effort_said
from protocols.model.wirejson import JsonObject, error_answer, json_call, object_at, objects_at, text_at
from protocols.openai_chat.aggregate import ChatFold
from protocols.openai_chat.answer_read import ChunkReader, read_answer
from protocols.openai_chat.answer_write import resumed_writer, write_answer, writer
from protocols.openai_chat.continue_request import continue_request
from protocols.openai_chat.error_words import error_object
from protocols.openai_chat.losses import ABILITIES
from protocols.openai_chat.prune import ChunkPruner
from protocols.openai_chat.request_read import read_request, thinking_of
from protocols.openai_chat.request_write import write_request
from protocols.openai_chat.retarget import retarget, with_limit, with_stream
from protocols.openai_chat.signatures import own_signatures, wrap_signatures

_PATHS: Paths[Operation] = (
    ("POST", re.compile(r"/chat/completions$"), Operation.GENERATE),
    ("POST", re.compile(r"/embeddings$"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)
_CLIENT_TOOLS = frozenset({"function", "custom"})
_ABOUT_THINKING = frozenset({"reasoning_effort", "reasoning", "thinking"})
_ACTING_TOOLS = ("mcp", "code", "shell")


class OpenAIChat:
    """See the module's docstring."""

    name = "openai_chat"
    aliases: tuple[str, ...] = ("openai", "chat", "chat_completions", "openai_embeddings")
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
        fold=ChatFold,
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
        call = json_call(self.name, call_id, operation, request)
        body = call.body
        kinds = [text_at(tool, "type") for tool in objects_at(body, "tools")]
        hosted = [kind for kind in kinds if kind and kind not in _CLIENT_TOOLS]
        thinks, session = not _ABOUT_THINKING.isdisjoint(body), text_at(body, "prompt_cache_key") or None
        if not (thinks or session or hosted or "web_search_options" in body):
            return call
        return replace(
            call,
            session=session,
            reasoning=_reasoning(body) if thinks else Reasoning.UNSAID,
            effort=effort_said(thinking_of(body)) if thinks else "",
            hosted=bool(hosted) or "web_search_options" in body,
            acting=bool(hosted) and any(kind.startswith(_ACTING_TOOLS) for kind in hosted),
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_event_stream(head, call):
            reader = ChunkReader()
            return SseDecoder(DONE, reader.read, reader.read_text, reader.read_texts)
        return WholeDecoder(read_answer)

    def encoder(self, call: Call) -> SseEncoder:
        return SseEncoder(call, resumed_writer)

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": error_object(fault.kind, fault.message, fault.status)})


def _reasoning(body: JsonObject) -> Reasoning:
    """`reasoning_effort` is OpenAI's, `thinking` DeepSeek's and z.ai's, `reasoning` OpenRouter's."""
    nested = object_at(body, "reasoning")
    effort = text_at(body, "reasoning_effort") or text_at(nested, "effort")
    thinking = text_at(object_at(body, "thinking"), "type")
    if effort == "none" or thinking == "disabled" or nested.get("enabled") is False:
        return Reasoning.OFF
    return Reasoning.ON if effort or thinking or nested else Reasoning.UNSAID


PROTOCOL = OpenAIChat()
