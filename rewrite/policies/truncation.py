"""After the commit point: how a cut answer is ended, or gone on with.

A cut in text ends with "length", which most clients take for what it is; some are better served by an
error, after which they ask again by themselves, or by a continuation. A cut inside a tool call that the
client has seen a part of ends with an error, because clients exist that complete and run half a call
(measured: langchain turns half of the arguments into a valid call), unless the client is known to discard
it, or has seen nothing of it because calls are held until they are whole.
"""

from protocols.model.parts import BlockKind
from rewrite.policies.stream_end import Cut, Empty
from rewrite.target.target import Target, Terms
from rewrite.values.decision import Continue, Fail, Repair
from rewrite.values.timeouts import OnTruncation


def decide(cut: Cut | Empty, cause: str, target: Target, *, can_go_on: bool) -> Repair | Fail | Continue:
    """`cause` in words, for the message of an in-band error; `can_go_on`: a continuation is possible."""
    mode = _mode(cut, target.terms)
    if mode is OnTruncation.CONTINUE and can_go_on:
        return Continue()
    in_call = isinstance(cut, Cut) and cut.place is BlockKind.TOOL
    if isinstance(cut, Empty) or mode is OnTruncation.ERROR:
        return Fail(_message(cut, cause))
    if in_call and not target.no_half_calls and mode is not OnTruncation.REPAIR:
        return Fail(_message(cut, cause))
    return Repair()


def _mode(cut: Cut | Empty, terms: Terms) -> OnTruncation:
    """What "auto" comes to for a cut in text is a fact of the client; in a tool call it stays "auto"."""
    in_call = isinstance(cut, Cut) and cut.place is BlockKind.TOOL
    if terms.on_truncation is not OnTruncation.AUTO or in_call:
        return terms.on_truncation
    return terms.cut_text


def _message(cut: Cut | Empty, cause: str) -> str:
    if isinstance(cut, Cut) and cut.place is BlockKind.TOOL:
        return f"the answer was cut inside the tool call {cut.tool!r} ({cause}); do not run the partial call"
    return f"the answer was cut ({cause})"
