"""A request as its provider understands it, read from the wire of each protocol."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.vendor import Received

type Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model made before; `id` None where the protocol has none, or the client said none."""

    id: str | None
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool found; `name` None where the protocol has none."""

    id: str | None
    name: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """`images` in base64, `tools` by name. `reasons`: thinking is asked for; `shows`: and the thoughts."""

    model: str
    stream: bool
    system: str
    tools: tuple[str, ...]
    calls: tuple[Call, ...]
    results: tuple[Result, ...]
    images: tuple[str, ...]
    reasons: bool
    shows: bool


def asked(protocol: str, received: Received) -> Asked:
    """The call in a request of `protocol`."""
    return _READERS[protocol](received.path, received.json())


def _text(value: Any) -> str:
    """All that is said in a content, whatever its form."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _inline(url: str) -> str:
    return url.partition("base64,")[2]


def _parts(messages: Sequence[Body], content: str = "content") -> Iterator[Body]:
    for message in messages:
        if isinstance(message.get(content), list):
            yield from message[content]


def _chat(_path: str, body: Body) -> Asked:
    messages = body["messages"]
    made = [call for message in messages for call in message.get("tool_calls") or ()]
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        system=_text([m["content"] for m in messages if m["role"] in {"system", "developer"}]),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools", ())),
        calls=tuple(
            Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in made
        ),
        results=tuple(
            Result(m["tool_call_id"], None, _text(m["content"])) for m in messages if m["role"] == "tool"
        ),
        images=tuple(
            _inline(part["image_url"]["url"]) for part in _parts(messages) if part["type"] == "image_url"
        ),
        reasons="reasoning_effort" in body,
        shows="reasoning_effort" in body,
    )


def _responses(_path: str, body: Body) -> Asked:
    items = body["input"] if isinstance(body["input"], list) else []
    calls = [item for item in items if item.get("type") == "function_call"]
    results = [item for item in items if item.get("type") == "function_call_output"]
    system = [item.get("content") for item in items if item.get("role") in {"system", "developer"}]
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        system=_text([body.get("instructions"), *system]),
        tools=tuple(tool["name"] for tool in body.get("tools", ())),
        calls=tuple(Call(item["call_id"], item["name"], json.loads(item["arguments"])) for item in calls),
        results=tuple(Result(item["call_id"], None, _text(item["output"])) for item in results),
        images=tuple(_inline(p["image_url"]) for p in _parts(items) if p["type"] == "input_image"),
        reasons=bool(body.get("reasoning")),
        shows="summary" in (body.get("reasoning") or {}),
    )


def _messages(_path: str, body: Body) -> Asked:
    parts = list(_parts(body["messages"]))
    results = [part for part in parts if part["type"] == "tool_result"]
    thinking = body.get("thinking") or {}
    return Asked(
        model=body["model"],
        stream=body.get("stream") is True,
        system=_text(body.get("system")),
        tools=tuple(tool["name"] for tool in body.get("tools", ())),
        calls=tuple(
            Call(part["id"], part["name"], part["input"]) for part in parts if part["type"] == "tool_use"
        ),
        results=tuple(Result(part["tool_use_id"], None, _text(part["content"])) for part in results),
        images=tuple(part["source"]["data"] for part in parts if part["type"] == "image"),
        reasons=thinking.get("type") in {"enabled", "adaptive"},
        shows=bool(thinking) and thinking.get("display") != "omitted",
    )


def _gemini(path: str, body: Body) -> Asked:
    parts = list(_parts(body["contents"], "parts"))
    declared = [each for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    return Asked(
        model=path.rpartition("/")[2].partition(":")[0],
        stream=path.endswith(":streamGenerateContent"),
        system=_text(body.get("systemInstruction")),
        tools=tuple(each["name"] for each in declared),
        calls=tuple(Call(call.get("id"), call["name"], call.get("args")) for call in calls),
        results=tuple(Result(r.get("id"), r["name"], _text(r["response"])) for r in results),
        images=tuple(part["inlineData"]["data"] for part in parts if "inlineData" in part),
        reasons=bool(thinking),
        # Measured: google-genai writes this name as Python does.
        shows=bool(thinking.get("includeThoughts") or thinking.get("include_thoughts")),
    )


def _ollama(_path: str, body: Body) -> Asked:
    messages = body["messages"]
    made = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    return Asked(
        model=body["model"],
        stream=body.get("stream", True),
        system=_text([m["content"] for m in messages if m["role"] == "system"]),
        tools=tuple(tool["function"]["name"] for tool in body.get("tools") or ()),
        calls=tuple(Call(None, call["name"], call["arguments"]) for call in made),
        results=tuple(
            Result(None, m.get("tool_name"), m["content"]) for m in messages if m["role"] == "tool"
        ),
        images=tuple(image for message in messages for image in message.get("images") or ()),
        reasons=bool(body.get("think")),
        shows=bool(body.get("think")),
    )


_READERS: Mapping[str, Callable[[str, Body], Asked]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
    "gemini_generate": _gemini,
    "ollama_chat": _ollama,
}
