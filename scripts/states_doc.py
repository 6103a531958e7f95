"""Writes docs/exchange.md: the states of a call, as the table of its machine has them.

`python -m scripts.states_doc > docs/exchange.md`
"""

from collections import defaultdict
from collections.abc import Iterator

from rewrite.exchange.exchange import TRANSITIONS, State, Trigger, name_of

_OPENING = """# The states of a call

One call is one `Exchange` (`rewrite/exchange/exchange.py`): events go in, commands come out. Its table
`TRANSITIONS` says what may happen in which state; anything else is a fault of ours. Two rules come before the
table: events of an attempt that is over are dropped, and so are all events after the end of the call.

Events are called as their types, timers as they are in `rewrite/values/timer.py`, in small letters.

This file is written by `python -m scripts.states_doc`; a test holds it to the code.
"""


def document() -> str:
    """The whole file."""
    return "\n".join([_OPENING, *_diagram(), *_tables()]).rstrip() + "\n"


def _diagram() -> Iterator[str]:
    """What leads elsewhere. What leads from everywhere to one state is said in words."""
    everywhere = _everywhere()
    yield "```mermaid\nstateDiagram-v2"
    for state in State:
        yield f'    state "{state.name}: {state.value}" as {state.name}'
    yield f"    [*] --> {State.NEW.name}"
    for (source, target), names in _edges(everywhere).items():
        yield f"    {source.name} --> {target.name} : {', '.join(names)}"
    yield f"    {State.OVER.name} --> [*]\n```\n"
    for trigger, target in everywhere.items():
        yield f"`{name_of(trigger)}` leads from every state to {target.name}.\n"


def _everywhere() -> dict[Trigger, State]:
    rows = [TRANSITIONS[state] for state in State if state is not State.OVER]
    found = {}
    for trigger, transition in rows[0].items():
        same = all(trigger in row and row[trigger].to == transition.to for row in rows)
        if same and len(transition.to) == 1:
            found[trigger] = next(iter(transition.to))
    return found


def _edges(everywhere: dict[Trigger, State]) -> dict[tuple[State, State], list[str]]:
    edges: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, rows in TRANSITIONS.items():
        for trigger, transition in rows.items():
            for target in _in_order(transition.to - {state}):
                if trigger not in everywhere:
                    edges[state, target].append(name_of(trigger))
    return edges


def _tables() -> Iterator[str]:
    for state, rows in TRANSITIONS.items():
        if rows:
            yield f"## {state.name}: {state.value}\n\n| what happens | handler | leads to |\n|---|---|---|"
            for trigger, transition in rows.items():
                targets = ", ".join(target.name for target in _in_order(transition.to or {state}))
                yield f"| {name_of(trigger)} | `{transition.handler.__name__}` | {targets} |"
            yield ""


def _in_order(states: frozenset[State] | set[State]) -> list[State]:
    return [state for state in State if state in states]


if __name__ == "__main__":
    print(document(), end="")
