"""Anthropic Messages.

Stream: named events whose name equals the `type` in the data; blocks come strictly one after another
(151 of 151 recorded streams). Measured: clients silently discard an event without its name, and an
`{"error": ...}` without `event: error`; `message_delta` usage is cumulative and overrides
`message_start`; a refusal may have no block at all; a block that is stopped after half of its JSON
arrives as a tool call with empty input, so its message must never end in `tool_use`.

What goes which way: `stream` reads answers, `writer` writes and closes them, `request` reads requests,
`rendering` (with `turns` and `thinking`) writes them, `marks` takes out of them what others sealed.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from protocols.anthropic_messages.aggregate import MessagesFold
from protocols.anthropic_messages.answer_read import EventReader, read_answer
from protocols.anthropic_messages.answer_write import MessagesEncoder, MessagesWriter, whole
from protocols.anthropic_messages.continue_request import continued
from protocols.anthropic_messages.error_words import FINISH_REASONS, error_object
from protocols.anthropic_messages.prune import EventPruner
from protocols.anthropic_messages.request_read import ask
from protocols.anthropic_messages.request_read_options import thinking_of
from protocols.anthropic_messages.request_write import ABILITIES, render, retarget
from protocols.anthropic_messages.signature_marks import sealed, unsealed
from protocols.base import Carry, Decoder, Keep
from protocols.framing.sse import SseDecoder, is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Reasoning, Rendered, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt, effort_said
from protocols.model.wirejson import JsonObject, error_answer, object_at, objects_at, text_at
from protocols.shared.calls import Paths, json_call, matched
from protocols.shared.losses import told

__all__ = ["FINISH_REASONS", "PROTOCOL", "AnthropicMessages", "EventReader", "MessagesEncoder"]

_PATHS: Paths = (
    ("POST", re.compile(r"(?:/v\d\w*|^)/messages$"), Operation.GENERATE),
    ("POST", re.compile(r"(?:/v\d\w*|^)/messages/count_tokens$"), Operation.COUNT_TOKENS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)
_HOSTED_TOOLS = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp")
_ACTING_TOOLS = ("code_execution", "mcp")


class AnthropicMessages:
    """See the module's docstring."""

    name = "anthropic_messages"
    aliases: tuple[str, ...] = ("anthropic", "messages", "claude_messages")
    opens_with_lifecycle = True
    abilities = ABILITIES

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
        tools = [text_at(tool, "type") for tool in objects_at(call.body, "tools")]
        servers = bool(call.body.get("mcp_servers"))
        return replace(
            call,
            reasoning=_reasoning(call.body),
            effort=effort_said(thinking_of(call.body)),
            hosted=servers or any(tool.startswith(_HOSTED_TOOLS) for tool in tools),
            acting=servers or any(tool.startswith(_ACTING_TOOLS) for tool in tools),
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_event_stream(head, call):
            return SseDecoder(b"message_stop", EventReader().read, named=True)
        return WholeDecoder(read_answer)

    def encoder(self, call: Call) -> MessagesEncoder:
        return MessagesEncoder(call)

    def pruner(self) -> EventPruner:
        return EventPruner()

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, error_object(fault.kind, fault.message, fault.status))

    def streamed(self, call: Call, *, stream: bool) -> Call:
        return replace(call, body={**call.body, "stream": stream}, stream=stream)

    def fold(self) -> MessagesFold:
        return MessagesFold()

    def ask(self, call: Call) -> Prompt:
        return ask(call)

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        return told(render(prompt, destination), prompt, destination, self.abilities)

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        return retarget(call, destination)

    def continued(self, body: Mapping[str, object], said: str, ask: str) -> Mapping[str, object]:
        return continued(body, said, ask)

    def unsealed(self, body: Mapping[str, object], keep: Keep) -> Mapping[str, object]:
        return unsealed(body, keep)

    def sealed(self, answer: Mapping[str, object], carry: Carry) -> Mapping[str, object]:
        return sealed(answer, carry)

    def writer(self, call: Call, reply: Reply) -> MessagesWriter:
        return MessagesWriter(call, reply)

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        return whole(call, reply, progress)


def _reasoning(body: JsonObject) -> Reasoning:
    kind = text_at(object_at(body, "thinking"), "type")
    if kind == "disabled":
        return Reasoning.OFF
    return Reasoning.ON if kind else Reasoning.UNSAID


PROTOCOL = AnthropicMessages()
