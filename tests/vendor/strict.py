"""Providers that refuse a conversation without what they asked to have back, in their own words.

Each plays the same conversation: a call of a tool, two calls at once, an answer. How far it is stands in the
request: what a turn was answered follows from the model and the number of results, so that two conversations
under two models have nothing in common, and nothing is remembered here. A request that lacks what was made,
or brings another, is refused as the real provider does it, in words that users of it report.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.vendor.answers import SEAL, Tool, chat_error, dump, messages_error
from tests.vendor.defaults import Asked, asked, not_found
from tests.vendor.gemini import gemini_error
from tests.vendor.http1 import Received
from tests.vendor.responses import responses_error
from tests.vendor.script import Answer, Reply, Send, whole
from tests.vendor.speech import Said

FINAL = "It is 4711 degrees."
_ARGUMENTS = ('{"city": "Par', 'is"}')
_RESULT = "-4711"
_CALLED = {0: ("get_weather",), 1: ("get_weather", "get_time")}
"""The tools that are called, by the number of results that are there."""

type Check = Callable[[Any, str], Reply | None]
"""From the body of a request and its model to the refusal; None: nothing is missing."""
type Shape = Callable[[Any, str, int], Any]
"""From an event, or a whole answer, to what the provider makes of it."""


def thought(model: str, results: int) -> str:
    """What the model thinks in the turn after so many results."""
    return f"Thought of {model} after {results}."


def seal(model: str, results: int) -> str:
    """What that turn is sealed with, in base64."""
    return base64.b64encode(f"sealed by {model} after {results}".encode()).decode()


def item_id(model: str, results: int) -> str:
    """The id of that turn's item of reasoning."""
    return f"rs_{sha256(f'{model} {results}'.encode()).hexdigest()[:24]}"


def call_id(model: str, results: int, number: int) -> str:
    """The id of a call: as long as those of most providers, and as hard to guess."""
    return f"call_{sha256(f'{model} {results} {number}'.encode()).hexdigest()[:24]}"


def weak_id(_model: str, results: int, number: int) -> str:
    """One that every conversation has. Documented of Moonshot's models."""
    return f"functions.{_CALLED[results][number]}:{results + number}"


def _as_it_is(event: Any, _model: str, _results: int) -> Any:
    return event


@dataclass(frozen=True, slots=True)
class Strict:
    """`Vendor(default=Strict(...))`."""

    check: Check
    ids: Callable[[str, int, int], str] = call_id
    shape: Shape = _as_it_is

    def __call__(self, received: Received) -> Answer:
        call = asked(received)
        if call is None:
            return not_found()
        if refusal := self.check(received.json(), call.model):
            return refusal
        return self._answer(call, received.body.count(_RESULT.encode()))

    def _answer(self, call: Asked, results: int) -> Reply:
        said, model = self._said(call.model, results), call.model
        reply = (
            call.speech.stream(said, model=model, usage=call.usage, array=call.array)
            if call.stream
            else call.speech.whole(said, model=model)
        )
        sent = (self._sent(step.data, model, results) for step in reply.steps if isinstance(step, Send))
        return Reply(reply.status, reply.headers, tuple(map(Send, sent)), reply.framing)

    def _said(self, model: str, results: int) -> Said:
        names = _CALLED.get(results)
        if names is None:
            return Said((FINAL,), (thought(model, results),))
        tools = tuple(Tool(name, _ARGUMENTS, self.ids(model, results, at)) for at, name in enumerate(names))
        return Said((), (thought(model, results),), tools, "tools")

    def _sent(self, data: bytes, model: str, results: int) -> bytes:
        own = data.replace(SEAL.encode(), seal(model, results).encode())
        own = own.replace(b'"rs_1"', f'"{item_id(model, results)}"'.encode())
        head, mark, event = own.partition(b"data: ")
        event, head = (event, head + mark) if mark else (own, b"")
        if not event.lstrip().startswith(b"{"):
            return own
        shaped = self.shape(json.loads(event), model, results)
        end = event[len(event.rstrip()) :]
        return head + dump(shaped) + end


def _turns(messages: list[Any], results_in: Callable[[Any], int]) -> Iterator[tuple[int, int, Any]]:
    """The index of each message, how many results stand before it, and the message."""
    results = 0
    for index, message in enumerate(messages):
        yield index, results, message
        results += results_in(message)


# -- Chat -------------------------------------------------------------------------------------------------


def _is_result(message: Any) -> int:
    return int(message["role"] == "tool")


def _chat_calls(body: Any) -> Iterator[tuple[int, int, Any]]:
    turns = _turns(body["messages"], _is_result)
    return (turn for turn in turns if turn[2]["role"] == "assistant" and turn[2].get("tool_calls"))


def deepseek(body: Any, model: str) -> Reply | None:
    """Reported of deepseek-reasoner; newer models say that it "must be passed back"."""
    for index, results, message in _chat_calls(body):
        if message.get("reasoning_content") != thought(model, results):
            lacks = f"Missing `reasoning_content` field in the assistant message at message index {index}."
            return chat_error(400, "invalid_request_error", lacks)
    return None


def moonshot(body: Any, model: str) -> Reply | None:
    """Reported of kimi-k2.5."""
    for index, results, message in _chat_calls(body):
        if message.get("reasoning_content") != thought(model, results):
            lacks = (
                "thinking is enabled but reasoning_content is missing in assistant tool call message at index"
            )
            return chat_error(400, "invalid_request_error", f"{lacks} {index}")
    return None


def details(model: str, results: int) -> list[Any]:
    """The `reasoning_details` of a turn."""
    told = {
        "type": "reasoning.text",
        "text": thought(model, results),
        "format": "google-gemini-v1",
        "index": 0,
    }
    sealed = {"type": "reasoning.encrypted", "data": seal(model, results), "format": "google-gemini-v1"}
    return [told, {**sealed, "id": call_id(model, results, 0), "index": 1}]


def openrouter(body: Any, model: str) -> Reply | None:
    """Reported of Gemini 3 there."""
    for _, results, message in _chat_calls(body):
        if message.get("reasoning_details") != details(model, results):
            lacks = "Gemini models require OpenRouter reasoning details to be preserved in each request."
            said = {"raw": lacks, "provider_name": "Google AI Studio"}
            error = {"message": "Provider returned error", "code": 400, "metadata": said}
            return whole(dump({"error": error, "user_id": "user_1"}), 400)
    return None


def with_details(event: Any, model: str, results: int) -> Any:
    """A Shape: reasoning as OpenRouter has it, here all of its details at once."""
    for choice in event["choices"]:
        said = choice.get("delta") or choice.get("message") or {}
        if text := said.pop("reasoning_content", None):
            said |= {"reasoning": text, "reasoning_details": details(model, results)}
    return event


def google_chat(body: Any, model: str) -> Reply | None:
    """Of Google's endpoint for Chat: the first call of each turn is signed. Documented, not measured."""
    for position, results, message in _chat_calls(body):
        first = message["tool_calls"][0]
        if first.get("extra_content") != _google(model, results):
            return _unsigned(first["function"]["name"], position)
    return None


def with_google(event: Any, model: str, results: int) -> Any:
    """A Shape: the first call as that endpoint signs it, and no thoughts."""
    for choice in event["choices"]:
        said = choice.get("delta") or choice.get("message") or {}
        said.pop("reasoning_content", None)
        for call in said.get("tool_calls", ()):
            if call.get("id") == call_id(model, results, 0):
                call["extra_content"] = _google(model, results)
    return event


def _google(model: str, results: int) -> Any:
    return {"google": {"thought_signature": seal(model, results)}}


# -- Messages ---------------------------------------------------------------------------------------------

_EXPECTED = (
    "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
    "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
    "lastmost set of `tool_use` and `tool_result` blocks)."
)


def _results_in(message: Any) -> int:
    content = message["content"] if isinstance(message["content"], list) else []
    return sum(block["type"] == "tool_result" for block in content)


def anthropic(body: Any, model: str) -> Reply | None:
    """Reported of many models: the last turn of the model has to begin with what it thought. That of earlier
    turns may be gone, and must not be another."""
    said = [turn for turn in _turns(body["messages"], _results_in) if turn[2]["role"] == "assistant"]
    for index, results, message in said:
        for at, block in enumerate(message["content"]):
            if block["type"] == "thinking" and not _is_own(block, model, results):
                where = f"messages.{index}.content.{at}: Invalid `signature` in `thinking` block"
                return messages_error(400, "invalid_request_error", where)
    if body.get("thinking", {}).get("type") != "enabled" or not said:
        return None
    index, _, message = said[-1]
    found = message["content"][0]["type"]
    if found in ("thinking", "redacted_thinking"):
        return None
    return messages_error(400, "invalid_request_error", _EXPECTED.format(index=index, found=found))


def _is_own(block: Any, model: str, results: int) -> bool:
    made = (thought(model, results), seal(model, results))
    return (block["thinking"], block["signature"]) == made


# -- Gemini -----------------------------------------------------------------------------------------------


def _responses_in(content: Any) -> int:
    return sum("functionResponse" in part for part in content["parts"])


def gemini(body: Any, model: str) -> Reply | None:
    """Reported of Gemini 3: the first call of each turn is signed. The mark for what another model made,
    which is documented, is refused here: what this model made is to come back."""
    for position, results, content in _turns(body["contents"], _responses_in):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and calls[0].get("thoughtSignature") != seal(model, results):
            return _unsigned(calls[0]["functionCall"]["name"], position)
    return None


def without_ids(event: Any, _model: str, _results: int) -> Any:
    """A Shape: calls as Vertex has them."""
    for candidate in event["candidates"]:
        for part in candidate["content"]["parts"]:
            part.get("functionCall", {}).pop("id", None)
    return event


def _unsigned(name: str, position: int) -> Reply:
    lacks = (
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
        "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
        f"data, function call `default_api:{name}` , position {position + 1}."
    )
    return gemini_error(400, "INVALID_ARGUMENT", lacks)


# -- Responses --------------------------------------------------------------------------------------------


def _outputs_in(item: Any) -> int:
    return int(item.get("type") == "function_call_output")


def openai(body: Any, model: str) -> Reply | None:
    """Reported of reasoning models: the first call of a turn stands after what was thought before it, in the
    form that a client without memory at the provider got it in."""
    items = body["input"]
    for index, results, item in _turns(items, _outputs_in):
        if item.get("type") != "function_call" or item["call_id"] != call_id(model, results, 0):
            continue
        before = items[index - 1]
        if before.get("type") != "reasoning":
            known = f"Item '{item.get('id', 'fc_1')}' of type 'function_call'"
            lacks = (
                f"{known} was provided without its required 'reasoning' item: '{item_id(model, results)}'."
            )
            return responses_error(400, "invalid_request_error", lacks)
        if before.get("encrypted_content") != seal(model, results):
            lacks = f"The encrypted content for item {before.get('id')} could not be verified."
            return responses_error(400, "invalid_encrypted_content", lacks)
        if items[index - 2].get("type") == "reasoning":
            return responses_error(
                400, "invalid_request_error", f"Duplicate item found with id {before['id']}."
            )
    return None
