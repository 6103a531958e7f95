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

from protocols.base import Abilities, Carry, Decoder, Keep
from protocols.framing.sse import DONE, SseDecoder, is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Reasoning, Rendered, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt, effort_said
from protocols.model.wirejson import JsonObject, error_answer, object_at, objects_at, text_at
from protocols.openai_chat import answer_write, reasoning, request_read, request_write
from protocols.openai_chat.aggregate import ChatFold
from protocols.openai_chat.answer_read import FINISH_REASONS, ChoiceReader, ChunkReader, read_answer
from protocols.openai_chat.answer_write import ChatEncoder, ChatWriter
from protocols.openai_chat.continue_request import continued
from protocols.openai_chat.error_words import error_object
from protocols.openai_chat.prune import ChunkPruner
from protocols.shared.calls import Paths, json_call, matched
from protocols.shared.losses import told

__all__ = ["FINISH_REASONS", "PROTOCOL", "ChatEncoder", "ChoiceReader", "ChunkReader", "OpenAIChat"]

_PATHS: Paths = (
    ("POST", re.compile(r"/chat/completions$"), Operation.GENERATE),
    ("POST", re.compile(r"/embeddings$"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)
_CLIENT_TOOLS = frozenset({"function", "custom"})
_ACTING_TOOLS = ("mcp", "code", "shell")


class OpenAIChat:
    """See the module's docstring."""

    name = "openai_chat"
    aliases: tuple[str, ...] = ("openai", "chat", "chat_completions", "openai_embeddings")
    opens_with_lifecycle = False
    abilities: Abilities = request_write.ABILITIES

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
        body = call.body
        kinds = [text_at(tool, "type") for tool in objects_at(body, "tools")]
        hosted = [kind for kind in kinds if kind and kind not in _CLIENT_TOOLS]
        return replace(
            call,
            session=text_at(body, "prompt_cache_key") or None,
            reasoning=_reasoning(body),
            effort=effort_said(request_read.thinking_of(body)),
            hosted=bool(hosted) or "web_search_options" in body,
            acting=any(kind.startswith(_ACTING_TOOLS) for kind in hosted),
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_event_stream(head, call):
            return SseDecoder(DONE, ChunkReader().read)
        return WholeDecoder(read_answer)

    def encoder(self, call: Call) -> ChatEncoder:
        return ChatEncoder(call)

    def pruner(self) -> ChunkPruner:
        return ChunkPruner()

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": error_object(fault.kind, fault.message, fault.status)})

    def streamed(self, call: Call, *, stream: bool) -> Call:
        """Sound is streamed in one form only, which a client that wants it whole may not have asked for."""
        sound = text_at(object_at(call.body, "audio"), "format")
        if stream and sound not in ("", "pcm16"):
            return call
        options = {**object_at(call.body, "stream_options"), "include_usage": True}
        rest = {name: value for name, value in call.body.items() if name != "stream_options"}
        body = {**rest, "stream": stream, **({"stream_options": options} if stream else {})}
        return replace(call, body=body, stream=stream)

    def fold(self) -> ChatFold:
        return ChatFold()

    def ask(self, call: Call) -> Prompt:
        return request_read.ask(call)

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        return told(request_write.render(prompt, destination), prompt, destination, self.abilities)

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        return request_write.retarget(call, destination)

    def continued(self, body: JsonObject, said: str, ask: str) -> JsonObject:
        return continued(body, said, ask)

    def unsealed(self, body: JsonObject, keep: Keep) -> JsonObject:
        return reasoning.unsealed(body, keep)

    def sealed(self, answer: JsonObject, carry: Carry) -> JsonObject:
        return reasoning.sealed(answer, carry)

    def writer(self, call: Call, reply: Reply) -> ChatWriter:
        return ChatWriter(call, answer_write.chunk_head(reply))

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        return answer_write.whole(call, reply, progress)


def _reasoning(body: JsonObject) -> Reasoning:
    """`reasoning_effort` is OpenAI's, `thinking` DeepSeek's and z.ai's, `reasoning` OpenRouter's."""
    nested = object_at(body, "reasoning")
    effort = text_at(body, "reasoning_effort") or text_at(nested, "effort")
    thinking = text_at(object_at(body, "thinking"), "type")
    if effort == "none" or thinking == "disabled" or nested.get("enabled") is False:
        return Reasoning.OFF
    return Reasoning.ON if effort or thinking or nested else Reasoning.UNSAID


PROTOCOL = OpenAIChat()
