"""The form that most chunks of a stream have, which is decoded in a third of the time of any other."""

from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder


class TextDelta(Struct, gc=False, forbid_unknown_fields=True):
    """A delta that says at most a text and a thought."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    role: str | None = None
    name: str | None = None
    channel: str | None = None
    refusal: Literal[""] | None = None
    tool_calls: None = None


class TextChoice(Struct, gc=False):
    """One that says no more than that, and may end."""

    delta: TextDelta
    index: int = 0
    finish_reason: str | None = None
    native_finish_reason: object = None
    stop_reason: object = None


class TextChunk(Struct, gc=False):
    """Most chunks: one choice, which continues."""

    choices: tuple[TextChoice]
    object: str = ""
    error: None = None
    usage: None = None
    x_groq: None = None


TEXT_CHUNK = Decoder(TextChunk)
TEXT_CHUNKS = Decoder(list[TextChunk])
