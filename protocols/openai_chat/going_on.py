"""The rest of an answer that was cut: how it is asked for, and how it is written behind what there is."""

from protocols.base import Call
from protocols.openai_chat.writer import ChatWriter
from protocols.parts import Progress
from protocols.wirejson import JsonObject


def continued(body: JsonObject, said: str, ask: str) -> JsonObject:
    messages = body.get("messages")
    before = messages if isinstance(messages, list) else []
    turns = [{"role": "assistant", "content": said}, {"role": "user", "content": ask}]
    return {**body, "messages": [*before, *turns]}


def resumed(call: Call, progress: Progress) -> ChatWriter:
    """It writes on under the stream's own id, model and creation time."""
    writer = ChatWriter(call, progress.head.template if progress.head else {})
    writer.take_up(progress)
    return writer
