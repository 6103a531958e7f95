"""Answers of one protocol's provider given to a client of another one, and what there is to read in them."""

import json
from dataclasses import dataclass, replace
from typing import Any

from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.progress import Progress
from rewrite.values.events import Start, UpstreamClosed, UpstreamData, UpstreamSent, UpstreamStarted
from tests.rewrite.asks import REGISTRY, ask, target_at, with_usage
from tests.rewrite.replay import ONCE, Replay, chunked
from tests.rewrite.scenes import exchange_of

ODD = 997
"""Bytes in a piece: a prime, so that pieces end anywhere."""


@dataclass(frozen=True, slots=True)
class Gist:
    """What a client can show of an answer: refusals are text where a protocol has no form for them."""

    text: str
    tools: list[tuple[str | None, Any]]
    finish: FinishReason | None
    error: bool

    @property
    def failed(self) -> bool:
        """By an error, or a finish that stands for one."""
        return self.error or self.finish is FinishReason.ERROR


def gist(progress: Progress) -> Gist:
    blocks = [block for (choice, _), block in progress.blocks.items() if choice == 0]
    shown = (BlockKind.TEXT, BlockKind.REFUSAL)
    tools = [(b.tool_name, arguments(b.text)) for b in blocks if b.kind is BlockKind.TOOL]
    finish = progress.finished.get(0)
    return Gist(
        text="".join(block.text for block in blocks if block.kind in shown),
        tools=tools,
        finish=finish.reason if finish else None,
        error=progress.error is not None or bool(progress.torn),
    )


def arguments(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def read(protocol: str, data: bytes, head: Head, *, stream: bool = True) -> Progress:
    decoder = REGISTRY[protocol].decoder(ask(protocol, stream=stream), head)
    progress = Progress()
    for segment in [*decoder.feed(data), *decoder.eof()]:
        if not progress.ended:  # some recordings join several answers
            progress.fold(decoder.read(segment))
    return progress


def answered(
    client: str,
    upstream: str,
    data: bytes,
    head: Head,
    *,
    call: Call | None = None,
    stream: bool = True,
    cause: str | None = None,
    size: int = ODD,
) -> Replay:
    """`data` of a provider that speaks `upstream`, as a client of `client` gets it: it comes in pieces of
    `size` bytes and ends as `cause` says. `call`: what the client asked, if not for a greeting."""
    asked = call or with_usage(ask(client, stream=stream))
    terms = replace(target_at(asked, upstream), terms=ONCE)
    running = Replay(exchange_of(asked, REGISTRY[client], terms))
    for event in (Start(), UpstreamSent(1), UpstreamStarted(1, head)):
        running.feed(event)
    for piece in chunked(data, size):
        running.feed(UpstreamData(1, piece))
    running.feed(UpstreamClosed(1, cause))
    return running
