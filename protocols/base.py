"""The seam between wire formats and decisions: what crosses the edge, and what a protocol must do.

A protocol that is only passed on does five small things: it recognises its operations by path (`match`),
reads what decisions need of a request (`parse`), makes a decoder and an encoder for one answer, and writes
an error in the shape that its clients raise on. Framing (SSE, whole body) belongs to decoder and encoder.

Two more facets are records of functions, each None where the protocol has it not: a `Translator` lets calls
go between it and other protocols, an `Editor` changes requests and answers within it.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Protocol, runtime_checkable

from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.errors import Fault, Untranslatable
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.parts import BlockKey, MessageStart, StreamPart
from protocols.model.progress import Progress
from protocols.model.prompt import MediaForm, MediaKind, Prompt
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject


class Decoder(Protocol):
    """Bytes of one answer to segments, and segments to parts. Framing is cheap; reading parses JSON."""

    def feed(self, data: bytes) -> Sequence[Segment]:
        """Whole segments that `data` completes; what comes after them waits.

        Raises MalformedStream if the bytes cannot be framed.
        """
        ...

    def eof(self) -> Sequence[Segment]:
        """End of input: an event that lacks only its blank line is given whole, half an event is dropped."""
        ...

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        """What a segment says. Stateful: each segment once, in order. Never raises on provider bytes."""
        ...

    def remainder(self) -> bytes:
        """Bytes fed and not given out as segments."""
        ...


@runtime_checkable
class Skimmer(Decoder, Protocol):
    """A decoder that looks at no event more closely than it takes to pass it on."""

    def skim(self, data: bytes) -> Sequence[Segment]:
        """What `feed` gives, with events that follow one another as one segment, a run, where who passes them
        on has no need to tell them apart."""
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
    """What a client of the protocol reads beside untouched segments, whose bytes it gets as they came."""

    @property
    def content_type(self) -> str:
        """Of a streamed answer."""
        ...

    def close(self, parts: Sequence[StreamPart], progress: Progress, *, begun: bool = False) -> bytes:
        """The bytes that end a stream of which the client has seen `progress`: `parts` stop what is open and
        finish its choices, or are an error. `begun`: frames went out, be it that they said nothing."""
        ...

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
    stream. A signature of reasoning is written as it is, where a client of the protocol keeps such a thing.
    Ping and Opaque write nothing.
    """

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
    """A prompt as it was written for a target."""

    prompt: Prompt
    """What was asked."""
    target: Destination
    """Where it goes."""
    body: Mapping[str, object]
    """The JSON object that it became."""


class Trait(Flag):
    """What a prompt has that a protocol may have no place for."""

    REFUSAL = auto()
    THOUGHT = auto()
    CALL = auto()
    RESULT = auto()
    MEDIA = auto()
    """In a tool's result too."""
    SEVERAL = auto()
    """More than one piece stands in a message, in the system's text or in a result."""
    BLANK = auto()
    """A text is blank, a message has none, or the assistant's last one ends in blank space."""
    CACHE = auto()
    """A cache breakpoint is asked for."""
    SYSTEM = auto()
    """The system speaks among the messages."""
    OPENED = auto()
    """The first message is not the user's."""
    TOOLS = auto()
    TOOL_CHOICE = auto()
    FORMAT = auto()
    THINKING = auto()
    STOP = auto()
    TIER = auto()
    LIMIT = auto()
    """Of the output."""


@dataclass(frozen=True, slots=True)
class Occurs:
    """When one request loses something."""

    where: Trait
    """What its prompt has then, at least one of these."""
    test: Callable[[Written], bool] | None = None
    """Whether it is lost there. None: it always is."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a protocol can say, as data: what is not here is dropped with a warning, or refused."""

    lacks: Mapping[str, str] = field(default_factory=dict)
    """Fields of `Prompt` that it has no place for, each with what is lost."""
    media: Mapping[MediaKind, frozenset[MediaForm]] = field(default_factory=dict)
    """The forms in which it takes each kind of media."""
    whole_tool_calls: bool = False
    """A stream of it gives a tool call in one frame, so one that is not whole can be left out."""
    several_choices: bool = False
    """It can give more than one answer."""
    custom_tools: bool = False
    """Its providers take tools of free text."""
    headers: frozenset[str] = frozenset()
    """Those of a client, in small letters, that are the protocol's and go to any provider of it."""
    losses: Mapping[str, str] = field(default_factory=dict)
    """What its reader and its writer give up besides, in words, by topic."""
    happens: Mapping[str, Occurs] = field(default_factory=dict)
    """Of these topics, those that a request can lose on its way into the protocol, each with when it does."""
    unread: Mapping[str, Callable[[Call], bool]] = field(default_factory=dict)
    """Those that a request can lose on its way out of it, in the same way. The others are about answers."""


type Wrap = Callable[[str], str]
"""From a signature as its provider wrote it to what the client gets in its place."""

type Keep = Callable[[str], str | None]
"""From what a client sends back in the place of a signature to what its provider is sent; None: nothing, and
the thought, the item or the source that it belongs to goes with it."""


type Resume = Callable[[Call, Progress], Writer]
"""What makes a writer that continues in the middle of a stream; see `Editor.resume`."""


@dataclass(frozen=True, slots=True)
class Translator:
    """How calls go between a protocol and others. The same protocol in and out never comes here."""

    abilities: Abilities
    """What the protocol can say."""

    read_request: Callable[[Call], Prompt]
    """The prompt of a generation call. Fields that are none of `Prompt` go to `extensions` by name.

    Raises Untranslatable, with the field, for what means something that no other provider can do: a hosted
    tool, an upload's id among messages, `background`, state that the provider keeps.
    """

    write_request: Callable[[Prompt, Destination], Rendered]
    """A prompt in this protocol's form. What `abilities` lacks is gone from it already; the losses that
    `abilities` has by topic are not in the result (see `protocols.shared.losses`).

    Raises Untranslatable for what cannot be said (a tool call without a name).
    """

    writer: Callable[[Call, Reply], Writer]
    """What writes a streamed answer to a call."""

    write_answer: Callable[[Call, Reply, Progress], bytes]
    """The body of an unstreamed answer, from all blocks, finishes and the usage of a progress."""


@dataclass(frozen=True, slots=True)
class Editor:
    """What a protocol changes of its own requests and answers, without a `Prompt`. Nothing that comes in is
    edited in place; where nothing changes, the same object comes back."""

    pruner: Callable[[], Pruner]
    """For one stream in the protocol's own form, out of which calls are to be left."""

    fold: Callable[[], Fold]
    """What puts a stream of the protocol together again."""

    resume: Resume
    """A writer that continues in the middle of the stream of which the client has seen a progress.

    It writes under the stream's own ids, indexes and counts what is still to come: more of the blocks in
    `progress.open` (by their choice and index) and their stops, further blocks (at any index that is none
    of these), finishes, usage, the end or an error. No MessageStart, and no start of what is open. What it
    needs of the progress it takes at once, so that it may still be folded. Usage that is not reported
    again is the one of the progress. What a hosted tool does after this is left out.
    """

    with_stream: Callable[[Call, bool], Call]
    """A generation as it would be had its client asked for a stream, or for a whole answer: body, target
    and `stream`. The same object where it cannot be asked so."""

    retarget: Callable[[Call, Destination], Rendered]
    """The call's own body and operation for another model or provider of the same protocol: only the model
    changes. `headers` is empty."""

    with_limit: Callable[[Call, int, str], JsonObject]
    """The body of a generation as it would be had its client asked for at most so many tokens; the same
    object where the client states a limit. The text is what Chat calls its limit there."""

    continue_request: Callable[[JsonObject, str, str], JsonObject]
    """A request's body with two turns more: a text said by the assistant, then one of the user's that asks
    to continue.

    Nothing else changes but a tool choice that demands a call: it is left to the model, which could not
    continue a text otherwise. What is blank is no turn (providers refuse one), and nothing to continue.
    """

    own_signatures: Callable[[JsonObject, Keep], JsonObject]
    """A request's body with every signature in it as `Keep` gives it, and without what belongs to one that
    is not kept: a provider refuses what another one signed."""

    wrap_signatures: Callable[[JsonObject, Wrap], JsonObject]
    """An object of an answer, an event's or the whole one, with every signature in it as `Wrap` gives it."""

    unwrap: Callable[[Call, str], Callable[[JsonObject], JsonObject] | None] | None = None
    """Where `retarget` puts a call into an envelope that its client does not know, for a path of the
    provider: what takes such an object of an answer out of it. None: there is none that it does not know."""


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

    def error(self, fault: Fault) -> WireResponse:
        """`fault` in the shape that clients of the protocol raise on."""
        ...

    @property
    def translator(self) -> Translator | None:
        """None: a route between this protocol and another one is refused."""
        ...

    @property
    def editor(self) -> Editor | None:
        """None: a call keeps its model and its way, streamed or whole; a tool call is not held back, a cut
        answer not continued, and what another provider signed not taken out."""
        ...


def editor_of(protocol: WireProtocol) -> Editor:
    """Raises Untranslatable where it has none."""
    if protocol.editor is None:
        raise Untranslatable("protocol", f"requests of {protocol.name} are passed on as they are")
    return protocol.editor
