"""The rest of an answer that was cut: how it is asked for, and how it is written behind what there is."""

from protocols.ollama_chat.writer import OllamaWriter
from protocols.parts import Progress
from protocols.wirejson import JsonObject


def continued(body: JsonObject, said: str, ask: str) -> JsonObject:
    messages = body.get("messages")
    before = messages if isinstance(messages, list) else []
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": ask}]
    return {**body, "messages": [*before, *turns]}


def resumed(progress: Progress) -> OllamaWriter:
    """Its lines have the stream's own model and time."""
    return OllamaWriter(progress.head.template if progress.head else {})
