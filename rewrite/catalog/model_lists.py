"""Which models a provider has: where that is asked, and how many an answer lists. Pure."""

from collections.abc import Mapping

from protocols.base import WireProtocol
from protocols.model.call import Operation
from protocols.model.http import Headers
from rewrite.catalog.providers import Provider

_PLACES: Mapping[str, tuple[str, str]] = {
    "openai_chat": ("/chat/completions", "/models"),
    "openai_responses": ("/responses", "/models"),
    "anthropic_messages": ("/messages", "/models"),
    "gemini_generate": ("/models/{model}:{method}", "/models"),
    "ollama_chat": ("/api/chat", "/api/tags"),
}
"""By protocol, how the path of a call ends, and what stands there in the path of a list of models."""

_HEADERS: Mapping[str, Headers] = {"anthropic_messages": (("anthropic-version", "2023-06-01"),)}

_LISTS = ("data", "models")


def list_of_models(provider: Provider, protocols: Mapping[str, WireProtocol]) -> tuple[str, str] | None:
    """The path of its list of models, and the protocol that it is in. None: it has none that is known."""
    for name in provider.protocols:
        end, instead = _PLACES.get(name, ("", ""))
        path = provider.paths.get(name, "")
        listed = path.removesuffix(end) + instead if end and path.endswith(end) else ""
        if listed and protocols[name].match("GET", listed) is Operation.MODELS:
            return listed, name
    return None


def models_headers(protocol: str) -> Headers:
    """What such a request needs besides the key."""
    return (("accept", "application/json"), *_HEADERS.get(protocol, ()))


def count(body: object) -> int | None:
    """How many models an answer, parsed, lists. None: it is no list of models."""
    lists = [body.get(name) for name in _LISTS] if isinstance(body, Mapping) else [body]
    return next((len(each) for each in lists if isinstance(each, list)), None)
