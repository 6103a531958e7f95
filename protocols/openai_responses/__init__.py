"""OpenAI Responses, as OpenAI, Azure, ChatGPT's Codex, OpenRouter, xAI, DeepSeek and others speak it.

Stream: named events, each a JSON object with its `type` and mostly a `sequence_number`; a lifecycle event
opens it, items of output follow one another, and the last event holds the whole response. Measured over
recorded streams: item ids may change from event to event, so that the output index is what an item is known
by; the error event comes in a nested form, which SDKs raise on, and in a flat one, which they ignore.

`layout`, `items` and `reader` turn event objects into parts, `writer` and `closing` parts into event
objects; `transport` alone frames them, so that another transport can carry the same events.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from protocols.base import Abilities, Carry, Decoder, Keep
from protocols.framing.sse import is_event_stream
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call, Destination, Operation, Reasoning, Rendered, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.progress import Progress
from protocols.model.prompt import MediaForm, MediaKind, Prompt, effort_said
from protocols.model.wirejson import JsonObject, dump, each_at, error_answer, inside, object_at, text_at
from protocols.openai_responses.aggregate import ResponsesFold
from protocols.openai_responses.answer_read import read_answer
from protocols.openai_responses.answer_write import EventWriter, response_object, whole_response
from protocols.openai_responses.continue_request import continued
from protocols.openai_responses.event_stream import ResponsesDecoder, ResponsesEncoder, ResponsesWriter
from protocols.openai_responses.losses import HAPPENS, UNREAD
from protocols.openai_responses.prune import EventPruner
from protocols.openai_responses.request_read import read_prompt, thinking_of
from protocols.openai_responses.request_write import rendered_body
from protocols.openai_responses.tools import declared, is_acting, is_hosted
from protocols.openai_responses.vocabulary import error_object
from protocols.shared.calls import Paths, json_call, matched
from protocols.shared.losses import WRAPPED_ARGUMENTS, told
from protocols.shared.signatures import carried_in, kept_in

_PATHS: Paths = (
    ("POST", re.compile(r"/responses$"), Operation.GENERATE),
    ("POST", re.compile(r"/responses/input_tokens$"), Operation.COUNT_TOKENS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)
_PREFIX = "/v1"
_SEALED_IN = ("encrypted_content",)
_GENERATION = "/responses"
_SUFFIXES: Mapping[Operation, str] = {
    Operation.COUNT_TOKENS: "/responses/input_tokens",
    Operation.MODELS: "/models",
}


class OpenAIResponses:
    """See the module's docstring."""

    name = "openai_responses"
    aliases: tuple[str, ...] = ("responses",)
    opens_with_lifecycle = True
    abilities = Abilities(
        lacks={
            "choices": "one answer is asked for, not several",
            "stop": "stop sequences",
            "seed": "the seed",
            "top_k": "top_k",
            "frequency_penalty": "the frequency penalty",
            "presence_penalty": "the presence penalty",
        },
        media={
            MediaKind.IMAGE: frozenset({MediaForm.DATA, MediaForm.URL}),
            MediaKind.FILE: frozenset({MediaForm.DATA, MediaForm.URL}),
        },
        custom_tools=True,
        happens=HAPPENS,
        unread=UNREAD,
        losses={
            "cache breakpoints": "are left out: the provider finds what it can cache by itself",
            "max_output": "below 16 tokens becomes 16, the least that is taken",
            "assistant media": "follow the assistant's message as the user's, and behind its text",
            "tool arguments": WRAPPED_ARGUMENTS,
            "tool errors": "the mark that a tool failed is left out; what it said stays",
            "reasoning": "is sent back only as this protocol's own encrypted items",
            "namespaces": "lose their description",
            "hosted items": "what the provider's own tools did in earlier turns is dropped; its text stays",
            "history": "citations in a client's earlier answers are left out",
            "citations": "those of files and containers are dropped, those of addresses stay",
            "pause": "ends as an incomplete response without a reason",
            "hosted output": "of the parts that a provider's own tools make only images are written",
        },
    )

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
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

    def encoder(self, call: Call) -> ResponsesEncoder:
        return ResponsesEncoder()

    def pruner(self) -> EventPruner:
        return EventPruner()

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": error_object(fault.kind, fault.message, fault.status)})

    def streamed(self, call: Call, *, stream: bool) -> Call:
        without = () if stream else ("stream_options",)
        rest = {name: value for name, value in call.body.items() if name not in without}
        return replace(call, body={**rest, "stream": stream}, stream=stream)

    def fold(self) -> ResponsesFold:
        return ResponsesFold()

    # -- translation --------------------------------------------------------------------------------------

    def ask(self, call: Call) -> Prompt:
        return read_prompt(call)

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        rendered = Rendered(_path(destination, Operation.GENERATE), rendered_body(prompt, destination))
        return told(rendered, prompt, destination, self.abilities)

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        """Where the target has no path of its own, the call's stays: Azure's and ChatGPT's differ from the
        protocol's. A list of models is asked for without a body."""
        models = call.operation is Operation.MODELS
        path = _path(destination, call.operation) if destination.path or not call.target else call.target
        return Rendered(path, {} if models else {**call.body, "model": destination.model})

    def continued(self, body: Mapping[str, object], said: str, ask: str) -> Mapping[str, object]:
        return continued(body, said, ask)

    def unsealed(self, body: Mapping[str, object], keep: Keep) -> Mapping[str, object]:
        """An item of reasoning that is not kept goes whole; one that is not encrypted is known by its id,
        which means nothing to another provider."""

        def kept(item: JsonObject) -> JsonObject | None:
            by_id = text_at(item, "type") == "reasoning" and not text_at(item, "encrypted_content")
            return kept_in(item, ("id",) if by_id else _SEALED_IN, keep)

        return each_at(body, "input", kept)

    def sealed(self, answer: Mapping[str, object], carry: Carry) -> Mapping[str, object]:
        """The items of a response, of the one in an event, or of an event of one item."""
        answer = inside(answer, "item", lambda item: carried_in(item, _SEALED_IN, carry))
        answer = inside(answer, "response", lambda response: self.sealed(response, carry))
        return each_at(answer, "output", lambda item: carried_in(item, _SEALED_IN, carry))

    def writer(self, call: Call, reply: Reply) -> ResponsesWriter:
        return ResponsesWriter(EventWriter(response_object(call, reply), reply.id))

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        return dump(whole_response(call, reply, progress))


def _session(body: JsonObject) -> str | None:
    """A conversation is named by its id or is an object with one."""
    named = [text_at(body, name) for name in ("prompt_cache_key", "previous_response_id", "conversation")]
    named.append(text_at(object_at(body, "conversation"), "id"))
    return next((name for name in named if name), None)


def _reasoning(body: JsonObject) -> Reasoning:
    asked = object_at(body, "reasoning")
    if text_at(asked, "effort") == "none":
        return Reasoning.OFF
    return Reasoning.ON if any(value is not None for value in asked.values()) else Reasoning.UNSAID


def _path(destination: Destination, operation: Operation) -> str:
    """The target's path, which is that of its generation, or another operation's beside it."""
    whole, mark, query = (destination.path or _PREFIX + _GENERATION).partition("?")
    beside = whole.removesuffix(_GENERATION) + _SUFFIXES.get(operation, "")
    own = whole if operation is Operation.GENERATE else beside
    return (own + mark + query).replace("{model}", quote(destination.model, safe=""))


PROTOCOL = OpenAIResponses()
