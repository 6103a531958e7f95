"""The seam between wire formats and decisions: what crosses the edge, and what a protocol must do.

A protocol is four small things: it recognises its operations by path (`match`), reads what decisions
need of a request (`parse`), makes a decoder and an encoder for one answer, and writes an error in the
shape that its clients raise on. Framing (SSE, whole body) belongs to decoder and encoder.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.errors import Fault
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.parts import BlockKey, MessageStart, StreamPart
from protocols.model.progress import Progress
from protocols.model.prompt import MediaForm, MediaKind, Prompt
from protocols.model.segment import Segment


class Decoder(Protocol):
    """Bytes of one answer to segments, and segments to parts. Framing is cheap; reading parses JSON."""

    def feed(self, data: bytes) -> Sequence[Segment]:
        """Whole segments that `data` completes; the rest waits.

        Raises MalformedStream if the bytes cannot be framed.
        """
        ...

    def eof(self) -> Sequence[Segment]:
        """End of input: an event that lacks only its blank line is given whole, half an event is dropped."""
        ...

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        """What a segment says. Stateful: each segment once, in order. Never raises on provider bytes."""
        ...

    def rest(self) -> bytes:
        """Bytes fed and not given out as segments."""
        ...


class Pruner(Protocol):
    """Takes tool calls out of the objects of one stream; stateful."""

    def prune(
        self,
        event: Mapping[str, object],
        said: Sequence[StreamPart],
        cut: Container[BlockKey],
        head: MessageStart | None,
    ) -> Mapping[str, object] | None:
        """The object of a frame without the calls `cut`, numbered as if they had never been; the same object
        if it says nothing of them, None if it says nothing else.

        `said`: what the frame says; `head`: how its answer began. Called for each frame in order, from the
        one in which the first of the calls opens.
        """
        ...

    def short(self, event: Mapping[str, object], choices: Container[int]) -> Mapping[str, object]:
        """The object of a frame with the finish of each of these choices as the protocol's "length", where
        its provider called it done; the same object if it says nothing of them."""
        ...


class Encoder(Protocol):
    """Segments and parts to the bytes that a client of the protocol reads."""

    def encode(self, segments: Sequence[Segment]) -> bytes:
        """Untouched segments, byte for byte."""
        return b"".join([segment.raw for segment in segments])

    def resume(self, progress: Progress) -> "Writer":
        """A writer that goes on in the middle of the stream of which the client has seen `progress`.

        It writes under the stream's own ids, indexes and counts what is still to come: more of the blocks in
        `progress.open` (by their choice and index) and their stops, further blocks (at any index that is
        none of these), finishes, usage, the end or an error. No MessageStart, and no start of what is open.
        What it needs of `progress` it takes at once, so that `progress` may go on to be folded. Usage that
        is not reported again is the one of `progress`. What a hosted tool does behind this is left out.
        """
        ...

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        """The bytes that close an answer: `parts` as the stream is resumed with them."""
        return self.resume(progress).write(parts)

    def heartbeat(self) -> bytes:
        """Bytes that keep a waiting client of this protocol alive; empty where none are harmless."""
        ...


class Writer(Protocol):
    """Parts of another protocol's answer to the bytes of a stream of this one; stateful, one for each answer.

    It may rely on order: MessageStart first and once; each choice's ChoiceStart before its blocks; the
    blocks of a choice one after another, each started, fed and stopped before the next (of all choices,
    where there are several, blocks may interleave); then a Finish for each choice; StreamEnd last. Indexes
    count from 0 without gaps. UsageReport may come anywhere before StreamEnd, the last one holds. What must
    stand in the last frames (finish, usage) is written at StreamEnd, or at Finish where the form wants it
    earlier. StreamError (its type an ErrorKind) is written as the error that clients raise on, and ends the
    stream. A reasoning block's seal is written where a client of the protocol keeps such a thing, as it is.
    Ping and Opaque write nothing.
    """

    @property
    def content_type(self) -> str:
        """Of the streamed answer."""
        ...

    def write(self, parts: Sequence[StreamPart]) -> bytes: ...


class Fold(Protocol):
    """The events of one stream put together as the answer that would have come whole; stateful.

    Nothing that a stream said is lost: texts, arguments and lists grow, of any other field the last value
    that is not null holds.
    """

    def feed(self, event: Mapping[str, object], name: str = "") -> None:
        """One JSON object of the stream, in order; `name`: that of its event where the framing has one."""
        ...

    def whole(self, *, done: bool) -> Mapping[str, object] | None:
        """The body of the whole answer, None where no answer began.

        `done`: the stream said that it was; a choice without a finish has the one that follows from what it
        holds then. Else such a choice was cut: it ends as "length", without the call that was cut.
        """
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt, where it goes, and the body that it became."""

    prompt: Prompt
    target: Destination
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a protocol can say, as data: what is not here is dropped with a warning, or refused.

    `lacks`: fields of `Prompt` that it has no place for, each with what is lost; `media`: the forms in which
    it takes each kind of media; `whole_tool_calls`: a stream of it gives a tool call in one frame, so one
    that is not whole can be left out; `several_choices`: it can give more than one; `custom_tools`: its
    providers take tools of free text; `headers`: those of a client, in small letters, that are the
    protocol's and go to any provider of it; `losses`: what its reader, renderer or writer gives up besides,
    in words, by topic. Of these topics, `happens` has those that a request can lose on its way into the
    protocol, and `unread` those that one can lose on its way out of it, each with whether this one does;
    the others are about answers.
    """

    lacks: Mapping[str, str] = field(default_factory=dict)
    media: Mapping[MediaKind, frozenset[MediaForm]] = field(default_factory=dict)
    whole_tool_calls: bool = False
    several_choices: bool = False
    custom_tools: bool = False
    headers: frozenset[str] = frozenset()
    losses: Mapping[str, str] = field(default_factory=dict)
    happens: Mapping[str, Callable[[Written], bool]] = field(default_factory=dict)
    unread: Mapping[str, Callable[[Call], bool]] = field(default_factory=dict)


type Carry = Callable[[str], str]
"""From a seal as its provider wrote it to what the client gets in its place."""

type Keep = Callable[[str], str | None]
"""From what a client sends back in the place of a seal to what its provider is sent; None: nothing, and the
thought, the item or the source that it seals goes with it."""


class WireProtocol(Protocol):
    """One wire protocol; see the module's docstring."""

    @property
    def name(self) -> str: ...

    @property
    def aliases(self) -> Sequence[str]: ...

    @property
    def opens_with_lifecycle(self) -> bool:
        """Whether a stream begins with an event before any token, so that early silence is a fault."""
        ...

    def match(self, method: str, path: str) -> Operation | None:
        """The operation of a request, by method and exact path suffix (no query); None: not ours."""
        ...

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        """What decisions need to know of a request; `request.body` is content-decoded.

        Raises MalformedRequest if the body is not a JSON object.
        """
        ...

    def decoder(self, call: Call, head: Head) -> Decoder: ...

    def encoder(self, call: Call) -> Encoder: ...

    def pruner(self) -> Pruner:
        """For one stream in the protocol's own form, out of which calls are to be left."""
        ...

    def error(self, fault: Fault) -> WireResponse:
        """`fault` in the shape that clients of the protocol raise on."""
        ...

    def streamed(self, call: Call, *, stream: bool) -> Call:
        """A generation as it would be had its client asked for a stream, or for a whole answer: body, target
        and `stream`. The same object where it cannot be asked so."""
        ...

    def fold(self) -> Fold:
        """What puts a stream of the protocol together again."""
        ...

    # -- translation: the same protocol in and out never comes here --------------------------------------

    @property
    def abilities(self) -> Abilities: ...

    def ask(self, call: Call) -> Prompt:
        """The prompt of a generation call. Fields that are none of `Prompt` go to `extensions` by name.

        Raises Untranslatable, with the field, for what means something that no other provider can do: a
        hosted tool, an upload's id among messages, `background`, state that the provider keeps.
        """
        ...

    def render(self, prompt: Prompt, destination: Destination) -> Rendered:
        """`prompt` in this protocol's form. What `abilities` lacks is gone from it already.

        Raises Untranslatable for what cannot be said (a tool call without a name).
        """
        ...

    def retarget(self, call: Call, destination: Destination) -> Rendered:
        """The call's own body and operation for another model or provider of the same protocol: only the
        model changes. `headers` is empty."""
        ...

    def continued(self, body: Mapping[str, object], said: str, ask: str) -> Mapping[str, object]:
        """A request's body with two turns more: `said` by the assistant, `ask` by the user.

        Nothing else changes but a tool choice that demands a call: it is left to the model, which could not
        go on with a text otherwise. What is blank is no turn (providers refuse one), and nothing to go on
        with. `body` stays as it is.
        """
        ...

    # -- signatures, within the protocol (see protocols.shared.signatures) ---------------------------

    def unsealed(self, body: Mapping[str, object], keep: Keep) -> Mapping[str, object]:
        """A request's body with every seal in it as `keep` gives it, and without what is sealed by one that
        is not kept: a provider refuses what another one signed. The same object where nothing changes."""
        ...

    def sealed(self, answer: Mapping[str, object], carry: Carry) -> Mapping[str, object]:
        """An object of an answer, an event's or the whole one, with every seal in it as `carry` gives it. The
        same object if there is none."""
        ...

    def writer(self, call: Call, reply: Reply) -> Writer: ...

    def whole(self, call: Call, reply: Reply, progress: Progress) -> bytes:
        """The body of an unstreamed answer, from all blocks, finishes and the usage of `progress`."""
        ...
