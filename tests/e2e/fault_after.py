"""Faults after the first token: no second attempt, and an honest end."""

from collections.abc import Callable
from typing import Any

from tests.e2e.fault_row import (
    CLIENT,
    ENDED_WITH_LENGTH,
    Row,
    cut,
    cut_in_chunk,
    cut_tool,
    cut_tool_after_text,
    reply,
)
from tests.e2e.wires import CUT_TEXT, Wire
from tests.vendor import End, Fin, Hang, Reply, Reset, streamed
from tests.vendor.answers import data_event

_CUTS: dict[str, Callable[[Wire], Reply]] = {
    "reset": cut(Reset()),
    "fin-in-chunk": cut_in_chunk,
    "clean-end": cut(End()),
}
_CUT_TOOL: dict[str, Any] = {"text": "", "finish": (), "tool": '{"path": "/tmp/täs', "end": "failed"}
_PARTIAL = "do not run the partial call"
AFTER = (
    *(Row(f"cut-{name}", reply(make), **ENDED_WITH_LENGTH) for name, make in _CUTS.items()),
    *(Row(f"cut-{name}-tls", reply(make), tls=True, **ENDED_WITH_LENGTH) for name, make in _CUTS.items()),
    Row("cut-no-alert-tls", reply(cut(Fin(close_notify=False))), tls=True, **ENDED_WITH_LENGTH),
    *(
        Row(f"cut-{name}-repair", reply(make), mode="repair", **ENDED_WITH_LENGTH)
        for name, make in _CUTS.items()
    ),
    *(
        Row(
            f"cut-{name}-error",
            reply(make),
            mode="error",
            text=CUT_TEXT,
            finish=(),
            says="the answer was cut",
            end="failed",
        )
        for name, make in _CUTS.items()
    ),
    Row("cut-own-key", reply(cut(Reset())), CLIENT, pool=(), **ENDED_WITH_LENGTH),
    Row("stall", reply(cut(Hang())), mode="hasty", hangs=True, **ENDED_WITH_LENGTH),
    Row(
        "error-after-text",
        reply(lambda wire: streamed([*wire.cut(), wire.error_event("overloaded")])),
        text=CUT_TEXT,
        finish=(),
        says="the provider says overloaded",
        end="error",
    ),
    Row(
        "error-in-another-form",
        reply(lambda wire: streamed([*wire.cut(), data_event({"error": {"message": "out of memory"}})])),
        text=CUT_TEXT,
        finish=(),
        says="out of memory",
        end="error",
    ),
    *(
        Row(f"cut-tool-{name}", reply(cut_tool(step)), mode=mode, says=_PARTIAL, **_CUT_TOOL)
        for name, step, mode in (
            ("reset", Reset(), "auto"),
            ("end", End(), "auto"),
            ("stall", Hang(), "hasty"),
            ("error", Reset(), "error"),
        )
    ),
    Row(
        "cut-tool-repair",
        reply(cut_tool(End())),
        mode="repair",
        **{**_CUT_TOOL, "finish": ("length",), "end": "truncated"},
    ),
    Row("tool", reply(lambda wire: streamed(wire.tool())), text="", finish=("tools",), tool="all"),
    *(
        Row(f"held-tool-{name}", reply(cut_tool_after_text(step)), mode="hold", **ENDED_WITH_LENGTH)
        for name, step in (("reset", Reset()), ("end", End()))
    ),
    Row("held-tool-alone", reply(cut_tool(Reset())), "one two", mode="hold"),
    Row(
        "held-tool",
        reply(lambda wire: streamed(wire.tool())),
        mode="hold",
        text="",
        finish=("tools",),
        tool="all",
    ),
)
