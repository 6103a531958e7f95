"""Tools under the names and in the forms that another protocol has for them.

Only Responses groups tools in namespaces; elsewhere a namespace becomes part of the name. A tool of free
text becomes a function with one text, `input`, where the target knows functions alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from protocols.model.parts import BlockStart, ToolKind
from protocols.model.prompt import Content, Message, Prompt, Tool, ToolCall, ToolResult
from protocols.model.wirejson import dump, encoded, load_object, text_at
from rewrite.translation.fitting import Loss

LONGEST_NAME = 64
"""Characters that OpenAI, Anthropic and Gemini all take in a tool's name."""

_DEFAULT_NAMESPACE = "functions"
_NOT_TAKEN = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True)
class ToolNames:
    """`flat`: the target's name by namespace and name; `tools`: the client's tool by the target's name.

    `functions_only`: the target takes no free text.
    """

    functions_only: bool
    flat: Mapping[tuple[str, str], str] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)

    @property
    def lost(self) -> tuple[Loss, ...]:
        """That a provider holds a free text to its grammar, where it takes functions alone."""
        worded = self.functions_only and any(tool.grammar for tool in self.tools.values())
        return (
            (Loss("tool grammars", "are put in words, which nothing holds the model to"),) if worded else ()
        )

    def known_by_client(self, start: BlockStart) -> BlockStart:
        """A call's start under the name, the namespace and the kind that the client gave the tool."""
        tool = self.tools.get(start.tool_name or "")
        if tool is None:
            return start
        return replace(start, tool_name=tool.name, namespace=tool.namespace, tool_kind=tool.kind)

    def unwraps(self, start: BlockStart) -> bool:
        """Whether the call of `start`, as the client knows it, comes as a function around its text."""
        return self.functions_only and start.tool_kind is ToolKind.CUSTOM

    def unwrapped(self, start: BlockStart, text: str) -> str | None:
        """The text of a call as the client's tool takes it; None if what is around it is not whole."""
        if not self.unwraps(start):
            return text
        inside = load_object(encoded(text))
        return None if inside is None else text_at(inside, "input") if "input" in inside else text

    def fitted(self, prompt: Prompt) -> Prompt:
        """`prompt` under the target's names."""
        choice = prompt.tool_choice
        if choice is not None:
            choice = replace(choice, names=tuple(self.flat.get(("", n), n) for n in choice.names))
        return replace(
            prompt,
            tools=tuple(self._tool(tool) for tool in prompt.tools),
            messages=tuple(self._message(message) for message in prompt.messages),
            tool_choice=choice,
        )

    def _tool(self, tool: Tool) -> Tool:
        tool = replace(tool, name=self.flat[tool.namespace, tool.name], namespace="")
        return _function(tool) if tool.kind is ToolKind.CUSTOM and self.functions_only else tool

    def _message(self, message: Message) -> Message:
        return replace(message, content=tuple(self._content(each) for each in message.content))

    def _content(self, content: Content) -> Content:
        match content:
            case ToolCall():
                name = self.flat.get((content.namespace, content.name), flattened("", content.name))
                return self._call(replace(content, name=name, namespace=""))
            case ToolResult():
                kind = ToolKind.FUNCTION if self.functions_only else content.kind
                return replace(content, kind=kind, name=self.flat.get(("", content.name), content.name))
            case _:
                return content

    def _call(self, call: ToolCall) -> ToolCall:
        if call.kind is ToolKind.FUNCTION or not self.functions_only:
            return call
        wrapped = dump({"input": call.arguments}).decode()
        return replace(call, arguments=wrapped, kind=ToolKind.FUNCTION)


def tool_names(prompt: Prompt, *, functions_only: bool) -> ToolNames:
    """The names of the tools of `prompt`, each taken once."""
    flat: dict[tuple[str, str], str] = {}
    tools: dict[str, Tool] = {}
    for tool in prompt.tools:
        name = flattened(tool.namespace, tool.name)
        if name in tools and (tools[name].namespace, tools[name].name) != (tool.namespace, tool.name):
            name = _shortened(name, f"{tool.namespace}\0{tool.name}")
        flat[tool.namespace, tool.name] = name
        flat.setdefault(("", tool.name), name)
        tools[name] = tool
    return ToolNames(functions_only, flat, tools)


def flattened(namespace: str, name: str) -> str:
    """One name for both, of the characters and the length that every provider takes."""
    joined = name if namespace in ("", _DEFAULT_NAMESPACE) else f"{namespace}__{name}"
    clean = _NOT_TAKEN.sub("_", joined)
    return clean if clean == joined and len(clean) <= LONGEST_NAME else _shortened(clean, joined)


def _shortened(name: str, distinct: str) -> str:
    return f"{name[: LONGEST_NAME - 9]}_{sha256(distinct.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _function(tool: Tool) -> Tool:
    """A free text tool as a function. Lost: that the provider holds the text to the tool's grammar; the
    grammar is put in words."""
    description = tool.description
    if tool.grammar:
        description += f"\n\nThe input must follow this grammar: {dump(tool.grammar).decode()}"
    text = {"type": "string", "description": "The input of the tool, as free text."}
    schema = {
        "type": "object",
        "properties": {"input": text},
        "required": ["input"],
        "additionalProperties": False,
    }
    return replace(
        tool,
        kind=ToolKind.FUNCTION,
        parameters=schema,
        description=description.strip(),
        grammar=None,
        strict=None,
    )
