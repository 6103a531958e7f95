"""Signatures where they stand in the protocol's requests and answers: its encrypted reasoning."""

from protocols.base import Keep, Wrap
from protocols.model.wirejson import JsonObject, each_at, inside, text_at
from protocols.shared.signatures import kept_in, wrapped_in

_ENCRYPTED = ("encrypted_content",)


def own_signatures(body: JsonObject, keep: Keep) -> JsonObject:
    """An item of reasoning that is not kept goes whole; one that is not encrypted is known by its id, which
    means nothing to another provider."""

    def kept(item: JsonObject) -> JsonObject | None:
        by_id = text_at(item, "type") == "reasoning" and not text_at(item, "encrypted_content")
        return kept_in(item, ("id",) if by_id else _ENCRYPTED, keep)

    return each_at(body, "input", kept)


def wrap_signatures(answer: JsonObject, wrap: Wrap) -> JsonObject:
    """The items of a response, of the one in an event, or of an event of one item."""
    answer = inside(answer, "item", lambda item: wrapped_in(item, _ENCRYPTED, wrap))
    answer = inside(answer, "response", lambda response: wrap_signatures(response, wrap))
    return each_at(answer, "output", lambda item: wrapped_in(item, _ENCRYPTED, wrap))
