"""merge_system: one system prompt, for providers that take no more than one.

openai_chat: neighbouring messages of the roles system and developer become one, in the role of the first;
leading or not. One that stands between other messages stays there, and so does one that says more than its
role and its content.

anthropic_messages: messages of the role system move to the end of `system`, and its blocks become one text.
A block with `cache_control` ends a piece of the prompt that is cached, so that blocks are joined up to it
and after it, and the mark stays where it is.

Loses: the borders between the texts, which become an empty line (a provider that looks at the first block
by itself finds a longer one), and for anthropic_messages the place of a system message in the conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from protocols.model.wirejson import JsonObject, objects, text_at
from rewrite.adapters.base import Context, Factory, Options, Unchanged

_SYSTEM_ROLES = ("system", "developer")
_BETWEEN = "\n\n"
_BLOCK_FIELDS = frozenset({"type", "text", "cache_control"})


@dataclass(frozen=True, slots=True)
class MergeSystem(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "merge_system"

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        messages = body.get("messages")
        if not isinstance(messages, list):
            return body
        match context.protocol:
            case "openai_chat":
                merged = _merged_messages(messages)
                return body if len(merged) == len(messages) else {**body, "messages": merged}
            case "anthropic_messages":
                return _with_one_system(body, messages)
            case _:
                return body


def _merged_messages(messages: Sequence[object]) -> list[object]:
    merged: list[object] = []
    for message in messages:
        if merged and _is_prompt(merged[-1]) and _is_prompt(message):
            merged[-1] = _joined_messages(merged[-1], message)
        else:
            merged.append(message)
    return merged


def _is_prompt(message: object) -> bool:
    """A system or developer message of content that can be joined."""
    if not isinstance(message, dict) or message.keys() != {"role", "content"}:
        return False
    return message["role"] in _SYSTEM_ROLES and isinstance(message["content"], str | list)


def _joined_messages(*messages: object) -> JsonObject:
    first, second = objects(messages)
    before, after = first["content"], second["content"]
    if isinstance(before, str) and isinstance(after, str):
        return {**first, "content": _joined_texts(before, after)}
    return {**first, "content": [*_blocks(before), *_blocks(after)]}


def _joined_texts(*texts: str) -> str:
    return _BETWEEN.join(text for text in texts if text)


def _blocks(content: object) -> list[object]:
    """Content as a list of blocks."""
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else []


def _with_one_system(body: JsonObject, messages: Sequence[object]) -> JsonObject:
    stay = [message for message in messages if not _moves(message)]
    if not stay:
        stay = list(messages)
    moved = [message for message in objects(messages) if _moves(message)] if stay != messages else []
    blocks = _blocks(body.get("system")) + [block for one in moved for block in _blocks(one.get("content"))]
    merged = _merged_blocks(blocks)
    if not moved and len(merged) == len(blocks):
        return body
    return {**body, "system": _lean(merged), "messages": stay} if moved else {**body, "system": _lean(merged)}


def _moves(message: object) -> bool:
    if not isinstance(message, dict) or message.get("role") != "system":
        return False
    return all(_is_text(block) for block in _blocks(message.get("content")))


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and block.keys() <= _BLOCK_FIELDS


def _merged_blocks(blocks: Sequence[object]) -> list[object]:
    merged: list[object] = []
    for block in blocks:
        if merged and _joins(merged[-1], block):
            merged[-1] = _joined_blocks(merged[-1], block)
        else:
            merged.append(block)
    return merged


def _joins(before: object, after: object) -> bool:
    """Behind a mark a new piece begins."""
    return _is_text(before) and _is_text(after) and not _marked(before)


def _marked(block: object) -> bool:
    return isinstance(block, dict) and bool(block.get("cache_control"))


def _joined_blocks(*blocks: object) -> JsonObject:
    before, after = objects(blocks)
    return {**after, "text": _joined_texts(text_at(before, "text"), text_at(after, "text"))}


def _lean(blocks: list[object]) -> object:
    """One block that bears no mark as a bare text."""
    match blocks:
        case [{"type": "text", "text": str(text)} as only] if _is_text(only) and not _marked(only):
            return text
        case _:
            return blocks


def _make(_: Options) -> MergeSystem:
    return MergeSystem()


ADAPTER = Factory(MergeSystem.name, _make)
