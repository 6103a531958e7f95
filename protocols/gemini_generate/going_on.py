"""The rest of an answer that was cut: how it is asked for, and how it is written behind what there is."""

from protocols.base import Call
from protocols.gemini_generate.shapes import form_of
from protocols.gemini_generate.writer import GeminiWriter
from protocols.parts import Progress
from protocols.wirejson import JsonObject, inside


def continued(body: JsonObject, said: str, ask: str) -> JsonObject:
    """Also in the envelope of Code Assist."""
    if isinstance(body.get("request"), dict):
        return inside(body, "request", lambda request: continued(request, said, ask))
    contents = body.get("contents")
    before = contents if isinstance(contents, list) else []
    turns = [{"role": role, "parts": [{"text": text}]} for role, text in (("model", said), ("user", ask))]
    return {**body, "contents": [*before, *turns]}


def resumed(call: Call, progress: Progress) -> GeminiWriter:
    """Its chunks have the stream's own id and model; there is nothing else that they go on from."""
    return GeminiWriter(form_of(call), progress.head.template if progress.head else {}, begun=True)
