"""Requests as clients write them, and how a test applies one adapter to them."""

from copy import deepcopy
from typing import Any

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Adapter, Context
from rewrite.adapters.chain import parse_adapters

type Body = dict[str, Any]

CHAT = Context("openai_chat", "openai", "gpt-5")
RESPONSES = Context("openai_responses", "openai", "gpt-5")
MESSAGES = Context("anthropic_messages", "anthropic", "claude-sonnet-4-5")
GEMINI = Context("gemini_generate", "gemini", "gemini-2.5-pro")
OLLAMA = Context("ollama_chat", "ollama", "qwen3")
CONTEXTS = (CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA)

SCHEMA = {"type": "object", "properties": {"cache_control": {"type": "string"}}, "required": []}

CHAT_BODY: Body = {
    "model": "gpt-5",
    "stream": True,
    "temperature": 0.2,
    "top_p": 1,
    "max_tokens": 4096,
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "developer", "content": [{"type": "text", "text": "Use tools."}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "reasoning_content": "Hm", "tool_calls": []},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "parameters": SCHEMA}},
        {"type": "custom", "custom": {"name": "patch"}},
    ],
    "stream_options": {"include_usage": True},
}
RESPONSES_BODY: Body = {
    "model": "gpt-5",
    "instructions": "You are terse.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Use tools."}]},
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
    ],
    "tools": [{"type": "custom", "name": "patch"}, {"type": "web_search"}],
    "reasoning": {"effort": "low", "summary": "auto"},
}
MESSAGES_BODY: Body = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 1024,
    "temperature": 0.7,
    "system": [{"type": "text", "text": "You are terse."}, {"type": "text", "text": "Use tools."}],
    "tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "custom", "name": "look", "input_schema": SCHEMA},
    ],
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "fine"}]},
        {"role": "system", "content": "It is late."},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ],
}
GEMINI_BODY: Body = {
    "model": "models/gemini-2.5-pro",
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "generationConfig": {"temperature": 1.5, "topK": 40},
    "tools": [{"functionDeclarations": [{"name": "look", "parametersJsonSchema": SCHEMA}]}],
}
OLLAMA_BODY: Body = {
    "model": "qwen3",
    "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Hi"}],
    "options": {"temperature": 0.3, "num_predict": 100},
}
REQUESTS = (
    (CHAT, CHAT_BODY),
    (RESPONSES, RESPONSES_BODY),
    (MESSAGES, MESSAGES_BODY),
    (GEMINI, GEMINI_BODY),
    (OLLAMA, OLLAMA_BODY),
)


def adapter(name: str, **options: object) -> Adapter:
    (made,) = parse_adapters([{"name": name, **options}])
    return made


def sent(made: Adapter, context: Context, body: Body) -> Any:
    """What goes to the provider for `body`, which is found unharmed."""
    before = deepcopy(body)
    after = made.request(body, context)
    assert body == before
    return after


def leaves_alone(made: Adapter, context: Context, body: JsonObject) -> bool:
    """Whether requests, answers and streams of `body` stay the same object."""
    events = made.stream(context)
    streamed = [body] if events is None else events(body)
    same = made.request(body, context) is body and made.answer(body, context) is body
    return same and len(streamed) == 1 and streamed[0] is body
