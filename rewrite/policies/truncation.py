"""After the commit point: how a cut answer is ended.

A cut in text ends with "length", which every client takes for what it is. A cut inside a tool call that
the client has seen a part of ends with an error, because clients exist that complete and run half a
call (measured: langchain turns half of the arguments into a valid call), unless the client is known to
discard it, or has seen nothing of it because calls are held until they are whole.
"""

from protocols.parts import BlockKind, Progress
from rewrite.decision import Fail, Repair
from rewrite.limits import OnTruncation


def decide(progress: Progress, cause: str, mode: OnTruncation, *, discards_cut_calls: bool) -> Repair | Fail:
    """`cause` in words, for the message of an in-band error."""
    tool = cut_tool(progress)
    if mode is OnTruncation.REPAIR and progress.visible:
        return Repair()
    if tool is not None and not discards_cut_calls:
        return Fail(
            f"the answer was cut inside the tool call {tool!r} ({cause}); do not run the partial call"
        )
    if mode is OnTruncation.ERROR or not progress.visible:
        return Fail(f"the answer was cut ({cause})")
    return Repair()


def cut_tool(progress: Progress) -> str | None:
    """The name of a tool call that is open or was torn, "" if it has none yet; None when there is none."""
    blocks = (*progress.open.values(), *progress.torn)
    return next((block.tool_name or "" for block in blocks if block.kind is BlockKind.TOOL), None)
