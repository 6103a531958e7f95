"""After a cut: whether the rest of an answer is asked for, and with which prompt.

The client's stream stays the one that it began as: a `ClientStream` writes all that comes after the cut
under the ids and indexes that the client has seen, whoever the rest comes from (see `continued_answer`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from protocols.base import Editor, Encoder, Translator, WireProtocol, Writer, editor_of
from protocols.model.call import Call, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.parts import BlockKind, StreamPart
from protocols.model.progress import Progress
from rewrite.continuation.splice import said_text
from rewrite.targets.reading import Reading
from rewrite.targets.target import Target
from rewrite.translation.answer import Sequencer, TranslatingEncoder
from rewrite.translation.choices import choices_asked
from rewrite.values.outcome import Kind, Outcome, Rejected

_CONTINUE = (
    "Your answer was interrupted and ended like this: {tail!r}. Go on exactly where it stopped: begin with "
    "the very next character, repeat nothing of it, and say nothing about the interruption."
)
_SMALLER = (
    "You had begun to call the tool {name!r}; that call was lost, since its arguments were not whole. Call "
    "it again with smaller pieces, in several calls if need be."
)
_TAIL = 200
_LINKED = frozenset({BlockKind.TOOL, BlockKind.HOSTED, BlockKind.MEDIA, BlockKind.REFUSAL})
"""What nothing is appended to: a call may be running already, and the rest is no text."""


def can_continue(call: Call, protocol: WireProtocol, progress: Progress) -> bool:
    """Whether the rest can be asked for: of one answer that began, so far nothing but text and thoughts, to a
    request that sets nothing in motion at the provider, and that does not bind each answer to a form."""
    if not call.stream or call.acting or choices_asked(call) > 1 or len(progress.seen) > 1:
        return False
    if progress.head is None:
        return False
    if protocol.editor is None or protocol.translator is None or _has_a_form(call, protocol.translator):
        return False
    return not progress.torn and all(block.kind not in _LINKED for block in progress.blocks.values())


def blames_the_request(outcome: Outcome) -> bool:
    """Whether the rest would be refused of any key of the provider."""
    return isinstance(outcome, Rejected) and outcome.kind in (Kind.REQUEST, Kind.BINDING)


def _has_a_form(call: Call, translator: Translator) -> bool:
    """A model that is held to a schema begins a new object. What nobody else could do is no form."""
    try:
        return translator.read_request(call).response_format is not None
    except Untranslatable as refused:
        named = re.split(r"[.\[]", refused.field, maxsplit=1)[0]
        others = {name: value for name, value in call.body.items() if name != named}
        return len(others) < len(call.body) and _has_a_form(replace(call, body=others), translator)


@dataclass(slots=True)
class ClientStream(Encoder):
    """The stream that the client reads, across the attempts that feed it. An encoder, for what is spliced."""

    progress: Progress
    """What the client has got."""
    writer: Writer
    """Continues what the client has got, in its protocol."""
    heartbeats: Encoder
    """The encoder of the first answer, for its heartbeats and the type of its content."""
    lost: str | None = None
    """The name of the tool call that was cut last and that the client has not seen."""
    acted: bool = False
    """A tool of the provider's was at work, which is not to be set to work again."""

    @property
    def content_type(self) -> str:
        return self.heartbeats.content_type

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        return self.writer.write(parts)

    def heartbeat(self) -> bytes:
        return self.heartbeats.heartbeat()


def client_stream_of(reading: Reading, call: Call, editor: Editor) -> ClientStream:
    """That of a call whose first answer was cut. What it had used is known, if not reported as yet, where it
    was translated."""
    progress = reading.settle()
    if isinstance(reading.calls, Sequencer):
        progress.fold(reading.calls.closing(()))
    encoder = reading.encoder
    writer = encoder.writer if isinstance(encoder, TranslatingEncoder) else editor.resume(call, progress)
    return ClientStream(progress, writer, encoder)


def _prompt(said: str, lost: str | None) -> str:
    text = [_CONTINUE.format(tail=said[-_TAIL:])] if said.strip() else []
    call = [_SMALLER.format(name=lost)] if lost else []
    return " ".join([*text, *call])


@dataclass(slots=True)
class Continuation:
    """How far one call has continued its answer, from the first cut."""

    call: Call
    """The client's."""
    protocol: WireProtocol
    """The client's."""
    client_stream: ClientStream
    """What the client reads since then."""
    times: int = 0
    """How often the rest was asked for."""

    def possible(self, progress: Progress, most: int, current: Reading | None) -> bool:
        """Whether the rest of `progress` can be asked for, `most` times in all. `current` was cut, None: no
        answer began; one that only repeats what was said would do so again."""
        if self.times == most or (current is not None and (current.repeats or not current.streamed)):
            return False
        return not self.client_stream.acted and can_continue(self.call, self.protocol, progress)

    @classmethod
    def after(cls, current: Reading, call: Call, protocol: WireProtocol) -> "Continuation":
        """`current` was cut, the first answer to `call`."""
        return cls(call, protocol, client_stream_of(current, call, editor_of(protocol)))

    def cut(self, current: Reading) -> None:
        """`current` was cut, and the rest of it will be asked for."""
        self.client_stream.lost = next(iter(current.left_out), None)

    def progress(self, current: Reading | None) -> Progress:
        """What the client has got, `current` being what comes."""
        if current is not None:
            return current.settle()
        return self.client_stream.progress

    def request(self, target: Target, instead: Rendered | None = None) -> Rendered | None:
        """The request of `target` with the answer so far, and the prompt for its rest. Where nothing was said
        yet, nor a call lost, it is the same one as before: `instead`, or None for what the target is asked
        otherwise. Half of a character is not sent, since no provider takes it."""
        asked, hooks = instead or target.rendered or Rendered(self.call.target, self.call.body), target.hooks
        said = said_text(self.client_stream.progress).encode("utf-8", "ignore").decode()
        prompt = _prompt(said, self.client_stream.lost)
        if not prompt:
            return instead
        asked = hooks.unprepared(asked) if hooks else asked
        body = editor_of(target.protocol).continue_request(asked.body, said, prompt)
        rest = replace(asked, body=body)
        return hooks.prepared(rest) if hooks else rest

    def detail(self, detail: str) -> str:
        """`detail`, for the record, and how often it continued."""
        times = "time" if self.times == 1 else "times"
        return f"continued {self.times} {times}; {detail}".removesuffix("; ")
