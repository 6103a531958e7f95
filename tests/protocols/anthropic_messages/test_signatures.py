"""What is taken out of a request before its own provider reads it: what others signed, and nothing else."""

import pytest

from protocols.anthropic_messages import PROTOCOL
from protocols.anthropic_messages.signatures import CUT, SOURCE
from protocols.model.parts import Signature
from protocols.shared.signatures import MARK, Returning, unwrapped, wrapped

KEEP = Returning("own", native=True)
FOREIGN = wrapped(Signature("encrypted", "abc"), "openai").value
HI = {"role": "user", "content": "Hi"}
TEXT = {"type": "text", "text": "Well"}


def assistant(*blocks: object) -> dict[str, object]:
    return {"model": "m", "messages": [HI, {"role": "assistant", "content": list(blocks)}]}


@pytest.mark.parametrize("mark", [CUT, SOURCE])
def test_the_marks_are_carriers_of_no_provider(mark: str) -> None:
    assert mark.startswith(MARK)
    assert (unwrapped(mark) or ("?",))[0] == ""


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm", "signature": CUT},
        {"type": "thinking", "thinking": "", "signature": FOREIGN},
        {"type": "redacted_thinking", "data": FOREIGN},
    ],
    ids="cut foreign redacted".split(),
)
def test_thinking_that_others_sealed_goes(block: object) -> None:
    assert PROTOCOL.editor.own_signatures(assistant(block, TEXT), KEEP) == assistant(TEXT)
    assert PROTOCOL.editor.own_signatures(assistant(block), KEEP) == {
        "model": "m",
        "messages": [HI],
    }


def test_sources_that_others_cited_go() -> None:
    own, ours = {"encrypted_index": "Eo8BCi", "url": "a"}, {"encrypted_index": SOURCE, "url": "b"}
    assert PROTOCOL.editor.own_signatures(assistant({**TEXT, "citations": [own, ours]}), KEEP) == assistant(
        {**TEXT, "citations": [own]}
    )
    assert PROTOCOL.editor.own_signatures(assistant({**TEXT, "citations": [ours]}), KEEP) == assistant(
        {**TEXT, "citations": None}
    )


@pytest.mark.parametrize(
    "body",
    [
        {"messages": "odd"},
        {"messages": [HI, 3, {"role": "assistant", "content": []}]},
        assistant({"type": "text", "text": f"It begins with {MARK}: {CUT}"}),
        assistant({"type": "text", "text": CUT, "signature": CUT}),
        assistant({"type": "thinking", "thinking": CUT, "signature": "EqkECkYI"}, 7),
        assistant({"type": "tool_use", "id": "t", "name": "f", "input": {"signature": CUT}}),
    ],
)
def test_the_same_object_where_there_is_nothing_to_do(body: dict[str, object]) -> None:
    assert PROTOCOL.editor.own_signatures(body, KEEP) is body
