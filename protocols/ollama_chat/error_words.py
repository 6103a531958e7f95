"""The words of the protocol for how an answer ended; its errors are a text alone."""

from collections.abc import Mapping

from protocols.model.parts import FinishReason

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "load": FinishReason.STOP,
    "unload": FinishReason.STOP,
}
"""`stop` is also how an answer with tool calls ends; the last two answer a request without messages."""

FINISH_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "stop",
    FinishReason.CONTENT_FILTER: "stop",
    FinishReason.PAUSE: "stop",
    FinishReason.OTHER: "stop",
}
"""Loss: there is no word for a refusal or a pause. That an answer failed is written as an error."""
