"""What the fake provider answers an agent: the plan of a scenario, in the protocol that was asked.

The answer depends on the request: a call that declares tools is the agent's turn, which gets the tool call
until the tool's result is in the request, and then the final text; calls without tools are titles and
classifications. An agent may therefore retry, or ask in another order, and still be served. Only the faults
of a scenario come in an order, each once.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import zstandard

from tests.vendor import Answer, Received, Tool, streamed, whole
from tests.vendor.answers import dump
from tests.vendor.responses import responses_custom_call
from tests.vendor.speech import SPEECHES, Said

FINAL = "All done: final-7319."
"""The last word of every scenario; success is to find it on the agent's stdout."""

HALF, REST = FINAL[:13], FINAL[13:]
"""The same, cut in the middle of a word."""

MARK = "mark-4627"
"""What the tool finds; it stands nowhere else, so in a request it is the tool's result."""

CALL_ID = "call_agents_1"
_LOST = "The tool has returned nothing."
_TITLE = "A short title"
# What gemini-cli asks of a small model before the turn: how hard is it, of 100.
_GRADE = '{"complexity_reasoning": "short", "complexity_score": 1}'


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the agent's tools. `arguments` for a function; `text` is the input of a custom tool.

    Where a custom tool reaches the provider as a function (a route did that), its text is that function's
    first argument, and the name may have been lengthened. `by_agent`: it starts a sub-agent, which has no
    such tool itself and is answered what the tool finds.
    """

    name: str
    arguments: Mapping[str, Any] | None = None
    text: str = ""
    namespace: str = ""
    by_agent: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The plan of one scenario: a tool call if there is one, then the final text.

    first: answers to the agent's first turns, in the place of these; last: to the first ones with what the
    tool found. A turn that has HALF in it gets REST: it continues an answer that was cut. others: JSON texts,
    by the path of what is no generation call. side: the answer to calls that declare no tools, if they are
    no titles.
    """

    tool: ToolCall | None = None
    first: tuple[Answer, ...] = ()
    last: tuple[Answer, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)
    side: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A generation call. `protocol` as in a config."""

    protocol: str
    stream: bool
    model: str
    body: Mapping[str, Any]


PATHS: Mapping[str, str] = {
    "anthropic_messages": "/v1/messages",
    "openai_responses": "/v1/responses",
    "openai_chat": "/v1/chat/completions",
}
"""The paths that are the same for every model, by protocol."""

_UNPACKING = zstandard.ZstdDecompressor()
_ENDINGS = (
    *((path, protocol) for protocol, path in PATHS.items()),
    ("/backend-api/codex/responses", "openai_responses"),
    (":streamGenerateContent", "gemini_generate"),
    (":generateContent", "gemini_generate"),
)


def asked(received: Received) -> Asked | None:
    """The generation call in a request; None for anything else."""
    protocol = next((name for ending, name in _ENDINGS if received.path.endswith(ending)), None)
    if protocol is None or received.method != "POST":
        return None
    try:
        # Measured: codex with a login of ChatGPT sends zstd.
        packed = received.header("content-encoding") == "zstd"
        body = json.loads(_UNPACKING.decompressobj().decompress(received.body)) if packed else received.json()
    except (ValueError, zstandard.ZstdError):
        return None
    return _asked(protocol, received.path, body) if isinstance(body, dict) else None


def _asked(protocol: str, path: str, body: Mapping[str, Any]) -> Asked:
    if protocol == "gemini_generate":
        model = path.rpartition("/")[2].partition(":")[0]
        return Asked(protocol, path.endswith(":streamGenerateContent"), model, body)
    return Asked(protocol, body.get("stream") is True, str(body.get("model", "")), body)


def results(call: Asked) -> int:
    """How many times the request has what the tool found."""
    return dump(call.body).count(MARK.encode())


class Plan:
    """Answers the requests of one run."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._first, self._last = deque(script.first), deque(script.last)

    def __call__(self, received: Received) -> Answer:
        faults = self._due(asked(received))
        return faults.popleft() if faults else answer(self._script, received)

    def _due(self, call: Asked | None) -> deque[Answer] | None:
        if call is None or not is_turn(call):
            return None
        return self._last if results(call) else self._first


def is_turn(call: Asked) -> bool:
    """Whether this is the agent's own turn, not a title or a classification."""
    return any(declared_tools(call.body))


def answer(script: Script, received: Received) -> Answer:
    """The answer to any request: 426 to a WebSocket, 404 to what is neither a generation call nor planned."""
    call = asked(received)
    if call is not None:
        return _generated(script, call)
    if (received.header("upgrade") or "").lower() == "websocket":
        return whole(b"{}", 426)
    if (text := script.others.get(received.path)) is not None:
        return whole(text.encode())
    return whole(dump({"error": {"message": "Not found", "type": "not_found_error"}}), 404)


def _generated(script: Script, call: Asked) -> Answer:
    declared = dict(declared_tools(call.body))
    if not declared:
        return _say(call, script.side or _side_text(call))
    if script.tool is not None and script.tool.by_agent and script.tool.name not in declared:
        return _say(call, MARK)
    if HALF.encode() in dump(call.body):
        return _say(call, REST)
    if script.tool is None or results(call):
        return _say(call, FINAL)
    if CALL_ID.encode() in dump(call.body):
        return _say(call, _LOST)
    return streamed(_call_events(call, script.tool, declared))


def _side_text(call: Asked) -> str:
    graded = (call.body.get("generationConfig") or {}).get("responseMimeType") == "application/json"
    return _GRADE if graded else _TITLE


def declared_tools(value: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and JSON schema of every tool in a request body, in any of the protocols' forms.

    codex has them in the first item of `input`, in namespaces.
    """
    for tool in (*_mappings(value.get("tools")), *_mappings(value.get("functionDeclarations"))):
        function = tool.get("function") or tool
        if "name" in function and "tools" not in function:
            yield function["name"], _schema(function)
        yield from declared_tools(function)
    for item in _mappings(value.get("input")):
        yield from declared_tools(item)


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _schema(function: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = function.get("parameters") or function.get("input_schema") or {}
    return schema if isinstance(schema, dict) else {}


# -- in the protocol that was asked --------------------------------------------------------------------------


def _say(call: Asked, text: str) -> Answer:
    speech, said = SPEECHES[call.protocol], Said((text,))
    if call.stream:
        return speech.stream(said, model=call.model, usage=False)
    return speech.whole(said, model=call.model)


def _call_events(call: Asked, tool: ToolCall, declared: Mapping[str, Mapping[str, Any]]) -> list[bytes]:
    if tool.text and call.protocol == "openai_responses":
        return responses_custom_call(tool.name, tool.text, call.model, id=CALL_ID, namespace=tool.namespace)
    longer = next((name for name in declared if name.endswith(tool.name)), tool.name)
    name = tool.name if tool.name in declared else longer
    arguments = tool.arguments or {_first_property(declared.get(name, {})): tool.text}
    return _function_events(call, name, arguments)


def _first_property(schema: Mapping[str, Any]) -> str:
    return next(iter(schema.get("properties") or ()), "input")


def _function_events(call: Asked, name: str, arguments: Mapping[str, Any]) -> list[bytes]:
    tool = Tool(name, [dump(arguments).decode()], CALL_ID)
    return SPEECHES[call.protocol].events(Said(tools=(tool,), finish="tools"), call.model, usage=False)
