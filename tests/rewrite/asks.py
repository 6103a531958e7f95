"""Small requests of every protocol's clients, and calls of them that go to a provider of another one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation, Reply
from protocols.model.http import WireRequest, parsed
from protocols.model.wirejson import dump
from protocols.registry import discover
from rewrite.adapters.base import Adapter
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.targets.wanted import Terms, Wanted
from tests.rewrite.scenes import FACTS, TERMS

REGISTRY = discover()
REPLY = Reply("rot0123456789abcdef", "asked", 1_700_000_000)
ROLES = ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
"""The protocols that a client and a provider may speak, in every combination."""

_MESSAGES = [{"role": "user", "content": "hello"}]
_ASKS: Mapping[str, tuple[str, dict[str, object]]] = {
    "openai_chat": ("/v1/chat/completions", {"model": "asked", "messages": _MESSAGES}),
    "openai_responses": ("/v1/responses", {"model": "asked", "input": "hello"}),
    "anthropic_messages": ("/v1/messages", {"model": "asked", "max_tokens": 99, "messages": _MESSAGES}),
    "gemini_generate": ("", {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}),
    "ollama_chat": ("/api/chat", {"model": "asked", "messages": _MESSAGES}),
}
_GEMINI = "/v1beta/models/asked:"


def ask(protocol: str, *, stream: bool = True, **more: object) -> Call:
    """A call of a client of `protocol`; `more` are fields of its body."""
    path, body = _ASKS[protocol]
    if protocol == "gemini_generate":
        path = _GEMINI + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    else:
        body = {**body, "stream": stream}
    request = WireRequest("POST", path, (("content-type", "application/json"),), dump({**body, **more}))
    return REGISTRY[protocol].parse("call", Operation.GENERATE, request)


def route(protocol: str, model: str = "other", provider: str = "elsewhere") -> Route:
    facts = Provider(provider, "https://elsewhere.example", (), (protocol,), errors=FACTS)
    return Route(facts, protocol, model, original=False)


def wanted(to: Route, adapters: Sequence[Adapter] = (), reply: Reply = REPLY, **fields: Any) -> Wanted:
    """How a call goes to the provider of `to`."""
    origin = parsed(to.provider.base_url)
    spoken = fields.pop("spoken", None) or REGISTRY[to.protocol]
    model = facts_of(to.provider, to.model)
    return Wanted(to, spoken, origin, fields.pop("terms", TERMS), adapters, reply, model, **fields)


def target_at(call: Call, to: str, provider: str = "elsewhere", terms: Terms = TERMS) -> Target:
    """`call` on its way to a provider that speaks `to`."""
    asked = wanted(route(to, provider=provider), terms=terms)
    return target_of(call, REGISTRY[call.protocol], asked)


def protocol(name: str) -> WireProtocol:
    return REGISTRY[name]


def with_usage(call: Call) -> Call:
    """The same call, of a client that wants to know what it used."""
    if call.protocol != "openai_chat":
        return call
    return replace(call, body={**call.body, "stream_options": {"include_usage": True}})
