"""What the fake provider does wrong to an agent, in the words of its protocol.

A cut call has all of its arguments but their last two characters (free text: all of it), so that an agent
which ran what it has would find what the tool finds, and be known by that.
"""

from scripts.agentkit.provider import HALF, REST, ToolCall
from tests.vendor import Reply, Reset, Speech, Tool, streamed
from tests.vendor.answers import dump
from tests.vendor.responses import responses_custom_call
from tests.vendor.speech import Said

BEFORE_CALL = "I shall read it."
"""What is said before the call that is cut, where the tool is a function."""

_MODEL = "fake-model"
_CUT_ID = "call_cut"


def silence(speech: Speech) -> Reply:
    """The head of a stream, and then nothing."""
    return speech.silent()


def slow_down(speech: Speech) -> Reply:
    """429, for longer than any agent is given."""
    return speech.error(429, "Slow down.", (("retry-after", "600"),))


def cut_text(speech: Speech) -> Reply:
    """HALF, and then a reset."""
    return speech.reset(Said((HALF[:4], HALF[4:], REST)), HALF[4:], model=_MODEL)


def cut_call(speech: Speech, tool: ToolCall) -> Reply:
    """A call of the agent's tool that breaks off. Gemini has a call whole in one event: half of that."""
    events = _calling(speech, tool)
    cut = next(number for number, event in enumerate(events) if b"note.txt" in event)
    length = len(events[cut]) // 2 if speech.protocol == "gemini_generate" else len(events[cut])
    return streamed([*events[:cut], events[cut][:length]], Reset())


def cut_after_call(speech: Speech, tool: ToolCall) -> Reply:
    """A call that is whole, and then a reset: nothing says that the answer is."""
    events = _calling(speech, tool)
    end = _CALL_ENDS[speech.protocol]
    last = max(number for number, event in enumerate(events) if end in event)
    return streamed(events[: last + 1], Reset())


_CALL_ENDS = {
    "anthropic_messages": b"content_block_stop",
    "openai_responses": b"response.output_item.done",
    "gemini_generate": b"functionCall",
}
"""What the last event of a call has in it."""


def _calling(speech: Speech, tool: ToolCall) -> list[bytes]:
    if tool.text:
        return responses_custom_call(tool.name, tool.text, _MODEL, id=_CUT_ID, namespace=tool.namespace)
    arguments = dump(tool.arguments or {}).decode()
    call = Tool(tool.name, (arguments[:-2], arguments[-2:]), _CUT_ID)
    return speech.events(Said((BEFORE_CALL,), tools=(call,), finish="tools"), _MODEL, usage=False)
