"""What a client asks, as plain data for a reader: model, parameters, tools, system text and messages.

It is read from the JSON, so that nothing of it is missing which only one protocol knows.
"""

from collections.abc import Mapping, Sequence

from protocols.model.wirejson import JsonObject, object_at, text_at
from rewrite.views.content import call, joined, piece, pieces_at, readable, result, tools_of
from rewrite.views.yaml_text import shortened

LONGEST_FORMER = 2_000
"""Characters of a text that is shown of a turn before the last one."""

MOST_MESSAGES = 400
"""Messages that are shown: the last ones."""

_SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
_MESSAGES = ("messages", "input", "contents", "prompt")
_TOOLS = ("tools", "functions")
_OF_THE_ASSISTANT = frozenset({"assistant", "model"})
_ROLES = {"model": "assistant", "function": "tool"}
_ITEMS = {"function_call": "assistant", "custom_tool_call": "assistant", "reasoning": "assistant"}


def request_data(body: JsonObject, model: str = "") -> dict[str, object]:
    """`model`: that of the path, where the body names none."""
    body = _inside(body)
    known = {*_SYSTEM, *_MESSAGES, *_TOOLS, "model", "stream"}
    found: dict[str, object] = {"model": text_at(body, "model") or model or None}
    parameters = {name: readable(each) for name, each in body.items() if name not in known}
    stream = {"stream": body["stream"]} if "stream" in body else {}
    found |= {"parameters": {**stream, **parameters}} if parameters or stream else {}
    found |= {"tools": tools} if (tools := tools_of(body)) else {}
    system = [each for name in _SYSTEM for each in _parts(body.get(name))]
    found |= {"system": joined([piece(each) for each in system])} if system else {}
    return found | _messages(body)


def _inside(body: JsonObject) -> JsonObject:
    """An envelope of Google's Code Assist holds the request."""
    inner = object_at(body, "request")
    return {**inner, "model": text_at(body, "model")} if "contents" in inner else body


def _parts(held: object) -> Sequence[object]:
    """Those of a text, of a list of parts, or of a message that has some."""
    if isinstance(held, Mapping):
        return pieces_at(held, "parts") or pieces_at(held, "content")
    return pieces_at({"held": held}, "held")


def _messages(body: JsonObject) -> dict[str, object]:
    held = next((name for name in _MESSAGES if body.get(name)), None)
    if held is None:
        return {}
    turns = body[held]
    if not isinstance(turns, list):
        return {"messages": [{"user": readable(turns)}]}
    left_out = max(0, len(turns) - MOST_MESSAGES)
    last = _last_turn(turns)
    shown = [
        _message(each, brief=number < last) for number, each in enumerate(turns[left_out:], start=left_out)
    ]
    more = [f"[{left_out} messages before]"] if left_out else []
    return {f"messages ({len(turns)})": [*more, *shown]}


def _last_turn(turns: Sequence[object]) -> int:
    """Where what follows the assistant's last word begins."""
    for at in range(len(turns) - 1, -1, -1):
        if _role(turns[at]) in _OF_THE_ASSISTANT:
            return at + 1
    return 0


def _role(turn: object) -> str:
    if not isinstance(turn, Mapping):
        return "user"
    return text_at(turn, "role") or _ITEMS.get(text_at(turn, "type"), "")


def _message(turn: object, *, brief: bool) -> object:
    if not isinstance(turn, Mapping):
        return {"user": readable(turn)}
    role = text_at(turn, "role")
    if not role:
        found = piece(turn)
        return _brief(found) if brief else found
    said = joined([*_said(turn)])
    if role == "tool":
        of = text_at(turn, "tool_call_id") or text_at(turn, "tool_name") or text_at(turn, "name")
        return _brief(result(of, turn.get("content"))) if brief else result(of, turn.get("content"))
    return {_ROLES.get(role, role): _brief(said) if brief else said}


def _said(turn: JsonObject) -> Sequence[object]:
    """Reasoning, texts and calls of a message, in that order."""
    thought = next(
        (turn[name] for name in ("reasoning_content", "reasoning", "thinking") if turn.get(name)), None
    )
    reasoning = [{"reasoning": thought}] if isinstance(thought, str) else []
    texts = [piece(each) for name in ("content", "parts") for each in pieces_at(turn, name)]
    images = [f"[image, {len(str(each)) * 3 // 4} bytes]" for each in pieces_at(turn, "images")]
    return [*reasoning, *texts, *images, *_calls(turn)]


def _calls(turn: JsonObject) -> Sequence[object]:
    found = []
    for each in pieces_at(turn, "tool_calls"):
        if isinstance(each, Mapping):
            asked = object_at(each, "function") or object_at(each, "custom")
            given = asked.get("arguments", asked.get("input"))
            found.append(call(text_at(asked, "name"), text_at(each, "id"), given))
    return found


def _brief(said: object) -> object:
    """The same with its texts shortened: of a turn that was there before."""
    match said:
        case str():
            return shortened(said, LONGEST_FORMER)
        case Mapping():
            return {name: _brief(each) for name, each in said.items()}
        case list():
            return [_brief(each) for each in said]
        case _:
            return said
