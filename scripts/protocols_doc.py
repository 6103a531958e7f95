"""Writes docs/protocols.md: what is lost between protocols, as the code has it.

`python -m scripts.protocols_doc > docs/protocols.md`
"""

from collections.abc import Iterator, Mapping

from protocols.base import Abilities, WireProtocol
from protocols.model.prompt import BUDGETS, MediaKind
from protocols.registry import discover

_OPENING = """# What is lost between protocols

A call whose target speaks another protocol than its client is translated. What the target has no place for
is dropped, if the answer means the same without it: the field and the target are named in the call's record
and in its trace. So is what is changed or left out, by its topic below, where it happens to the request.
What would change the meaning is refused before any provider is asked, with a 400 in the client's protocol
that names the field: tools that a provider runs, a kind of media or a form of it that the target does not
take, uploads that belong to an account, more than one choice where one is all there is, `background`, state
that another provider keeps, a tool call without a name.

Everywhere: fields that only the client's protocol has are dropped; the grammar of a tool of free text is put
in words where the target takes functions only; reasoning goes back only to the provider
that made it; what a provider does with tools of its own has no place in an answer of another protocol; of the
provider's headers only the id of the request and the waiting times are passed on; of the client's, the
content's type, `accept`, `user-agent` and those that are named below: the others are in the call's record.

This file is written by `python -m scripts.protocols_doc`; a test holds it to the code.
"""


def document() -> str:
    """The whole file."""
    lines = [_OPENING, *_thinking()]
    for protocol in sorted(discover(), key=lambda one: one.name):
        lines += _section(protocol)
    return "\n".join(lines).rstrip() + "\n"


def _thinking() -> Iterator[str]:
    yield "## Reasoning effort and budget\n"
    yield "Where a model takes only one of them. A budget becomes the lowest effort with as many tokens.\n"
    yield "| effort | budget in tokens |\n|---|---|"
    for effort, tokens in BUDGETS.items():
        yield f"| {effort} | {tokens} |"
    yield ""


def _section(protocol: WireProtocol) -> Iterator[str]:
    yield f"## {protocol.name}\n"
    if protocol.translator is None:
        yield "It is passed on as it is, and not translated.\n"
        return
    abilities = protocol.translator.abilities
    yield f"Media that it takes: {_media(abilities)}.\n"
    if abilities.headers:
        yield f"Headers of its own: {', '.join(f'`{name}`' for name in sorted(abilities.headers))}.\n"
    yield from _table("dropped on the way to it", abilities.lacks)
    yield from _table("changed or left out", abilities.losses)


def _media(abilities: Abilities) -> str:
    taken = [_forms(kind, abilities) for kind in MediaKind if abilities.media.get(kind)]
    return "; ".join(taken) if taken else "none"


def _forms(kind: MediaKind, abilities: Abilities) -> str:
    return f"{kind} ({', '.join(sorted(form.value for form in abilities.media[kind]))})"


def _table(heading: str, rows: Mapping[str, str]) -> Iterator[str]:
    if rows:
        yield f"| {heading} | what that means |\n|---|---|"
        yield from (f"| {name} | {_cell(words)} |" for name, words in rows.items())
        yield ""


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(document(), end="")
