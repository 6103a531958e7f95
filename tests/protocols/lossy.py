"""Requests that lose something on their way, and a request that loses nothing."""

from collections.abc import Sequence
from dataclasses import replace

from protocols.base import WireProtocol
from protocols.model.call import Destination, Operation
from protocols.model.http import WireRequest
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import JsonObject, dump
from protocols.shared.losses import rendered, unread
from rewrite.translation.translate import translator_of

TARGET = Destination("vendor", "m", thinking="effort")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
F, G = Tool("f", "does", SCHEMA), Tool("g", "too", SCHEMA)
IMAGE = Media(MediaKind.IMAGE, MediaForm.DATA, "/9j/4AAQ", "image/jpeg", detail="auto")
HI, CALL, RESULT = Text("Hi"), ToolCall("a", "f", "{}"), ToolResult("a", (Text("ok"),), "f")
PLAIN = Prompt(
    "m",
    (
        Message(Role.USER, (HI, IMAGE)),
        Message(Role.ASSISTANT, (Text("I look."), CALL)),
        Message(Role.USER, (RESULT,)),
    ),
    system=(Text("Be brief."),),
    tools=(F, G),
    max_output=100,
)
"""Every protocol can say all of it."""


def said(*content: Content, role: Role = Role.USER) -> Prompt:
    """The plain request, with one more message."""
    return replace(PLAIN, messages=(*PLAIN.messages, Message(role, content)))


def answered(*content: Content) -> Prompt:
    """The plain request, with an answer before the last message."""
    ours = Message(Role.USER, (Text("Go on."),))
    return replace(PLAIN, messages=(*PLAIN.messages, Message(Role.ASSISTANT, content), ours))


def resulting(result: ToolResult) -> Prompt:
    return replace(PLAIN, messages=(*PLAIN.messages[:-1], Message(Role.USER, (result,))))


def losses(protocol: WireProtocol, prompt: Prompt, destination: Destination = TARGET) -> Sequence[str]:
    """The topics that rendering reports; each says what became of it."""
    pairs = rendered(translator_of(protocol), prompt, destination).losses
    assert all(why for _, why in pairs)
    return [topic for topic, _ in pairs]


def not_read(protocol: WireProtocol, body: JsonObject, path: str) -> Sequence[str]:
    """The topics of what a client says and a prompt has no place for."""
    call = protocol.parse("c", Operation.GENERATE, WireRequest("POST", path, (), dump(body)))
    translator_of(protocol).read_request(call)
    return [topic for topic, _ in unread(call, translator_of(protocol).abilities)]
