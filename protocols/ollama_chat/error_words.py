"""What requests and answers of the protocol have in common: its words, its counts, its images."""

from collections.abc import Mapping

from protocols.model.parts import FinishReason, Seal, Usage
from protocols.model.prompt import Effort
from protocols.model.wirejson import JsonObject, count_at, given

PLAIN = "plain"
UNSEALED = Seal(PLAIN, "")
"""Of thinking: nothing is signed, the text alone goes back."""

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
"""Loss: there is no word for a refusal or a pause. That an answer failed is told as an error."""

LEVELS: Mapping[Effort, str] = {
    Effort.MINIMAL: "low",
    Effort.LOW: "low",
    Effort.MEDIUM: "medium",
    Effort.HIGH: "high",
    Effort.XHIGH: "high",
    Effort.MAX: "high",
}
"""Loss: three levels are all there are."""

_IMAGES: Mapping[str, str] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""How base64 text of an image begins: what it is, is not said."""


def image_type(data: str) -> str:
    """The media type of an image (base64 text), empty where it is none of the usual ones."""
    return next((kind for opening, kind in _IMAGES.items() if data.startswith(opening)), "")


def usage_of(answer: JsonObject) -> Usage | None:
    """Measured: `prompt_eval_count` is missing where the whole prompt was cached."""
    usage = Usage(input=count_at(answer, "prompt_eval_count"), output=count_at(answer, "eval_count"))
    return None if usage == Usage() else usage


def counts(usage: Usage | None) -> JsonObject:
    """Loss: tokens of caches and of reasoning are in the two counts, without their own."""
    return given(prompt_eval_count=usage.input, eval_count=usage.output) if usage else {}
