"""The rest of an answer that was cut: how it is asked for, and how it is written behind what there is."""

from protocols.anthropic_messages.writer import MessagesWriter
from protocols.base import Call, Reply
from protocols.parts import Progress
from protocols.wirejson import JsonObject


def continued(body: JsonObject, said: str, ask: str) -> JsonObject:
    messages = body.get("messages")
    before = messages if isinstance(messages, list) else []
    turns = [{"role": role, "content": text} for role, text in (("assistant", said), ("user", ask))]
    return {**body, "messages": [*before, *turns]}


def resumed(call: Call, progress: Progress) -> MessagesWriter:
    writer = MessagesWriter(call, Reply("", "", 0))
    writer.take_up(progress)
    return writer
