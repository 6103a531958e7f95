"""Ollama's own chat, POST /api/chat; its embeddings and its list of models are passed on beside it.

Stream: one JSON object to a line, the last of which says `done`; it is what a client gets that does not say
otherwise. `/api/generate`, and what pulls and makes models, are none of ours.
"""

import re
from dataclasses import replace

from protocols.base import Carry, Decoder, Keep
from protocols.framing.ndjson import LineDecoder, is_line_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Reasoning, Rendered, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt, effort_said
from protocols.model.wirejson import JsonObject, error_answer, extended
from protocols.ollama_chat.aggregate import OllamaFold
from protocols.ollama_chat.answer_read import LAST, AnswerReader, read_whole
from protocols.ollama_chat.answer_write import OllamaEncoder, OllamaWriter, named, whole
from protocols.ollama_chat.error_words import FINISH_REASONS
from protocols.ollama_chat.prune import LinePruner
from protocols.ollama_chat.request_read import ask, streams, thinking_of
from protocols.ollama_chat.request_write import ABILITIES, render, retarget
from protocols.shared.calls import Paths, json_call, matched
from protocols.shared.losses import told

__all__ = ["FINISH_REASONS", "PROTOCOL", "OllamaChat"]

_PATHS: Paths = (
    ("POST", re.compile(r"/api/chat$"), Operation.GENERATE),
    ("POST", re.compile(r"/api/embed(?:dings)?$"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"/api/tags$"), Operation.MODELS),
)


class OllamaChat:
    """See the module's docstring."""

    name = "ollama_chat"
    aliases: tuple[str, ...] = ("ollama",)
    opens_with_lifecycle = False
    abilities = ABILITIES

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

    def encoder(self, call: Call) -> OllamaEncoder:
        return OllamaEncoder()

    def pruner(self) -> LinePruner:
        return LinePruner()

    def error(self, fault: Fault) -> WireResponse:
        """A text is all that clients take; they raise by the status."""
        return error_answer(fault, {"error": fault.message})

    def streamed(self, call: Call, *, stream: bool) -> Call:
        return replace(call, body={**call.body, "stream": stream}, stream=stream)

    def fold(self) -> OllamaFold:
        return OllamaFold()

    def ask(self, call: Call) -> Prompt:
        return ask(call)

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        return told(render(prompt, destination), prompt, destination, self.abilities)

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        return retarget(call, destination)

    def continued(self, body: JsonObject, said: str, ask: str) -> JsonObject:
        """The protocol knows of no choice of tools."""
        turns = [{"role": "assistant", "content": said}] if said.strip() else []
        return extended(body, "messages", *turns, {"role": "user", "content": ask})

    def unsealed(self, body: JsonObject, keep: Keep) -> JsonObject:
        """The protocol has no place for a seal."""
        return body

    def sealed(self, answer: JsonObject, carry: Carry) -> JsonObject:
        return answer

    def writer(self, call: Call, reply: Reply) -> OllamaWriter:
        return OllamaWriter(named(reply))

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        return whole(reply, progress)


def _reasoning(body: JsonObject) -> Reasoning:
    think = body.get("think")
    if think is False:
        return Reasoning.OFF
    return Reasoning.ON if think else Reasoning.UNSAID


PROTOCOL = OllamaChat()
