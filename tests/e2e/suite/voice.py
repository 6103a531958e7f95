"""What the fake provider does wrong, in the words of any protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.e2e.translation.scenarios import ANSWER, CUT_AFTER, WORDS
from tests.vendor import Answer, Fin, Hang, Pause, Reply, Send, SendShort, Speech, Step, streamed
from tests.vendor.script import Headers
from tests.vendor.speech import Said

COMPLAINT = "the provider is out of breath"


@dataclass(frozen=True, slots=True)
class Voice:
    """One protocol's answers to calls of one model; `model` names the cell, so that it is asked by it."""

    speech: Speech
    model: str

    def events(self, said: Said = ANSWER) -> list[bytes]:
        return self.speech.events(said, self.model)

    def cut(self, said: Said = ANSWER, after: str = CUT_AFTER) -> list[bytes]:
        """The events up to the one that has `after` in it."""
        events = self.events(said)
        return events[: _position(events, after) + 1]

    def start(self) -> list[bytes]:
        """What comes before the first token; nothing, where the first event has one."""
        events = self.events()
        return events[: _position(events, WORDS[0])]

    def stream(self, events: Sequence[bytes], *ending: Step) -> Reply:
        return streamed(events, *ending, kind=self.speech.kind)

    def error(self, status: int, headers: Headers = ()) -> Reply:
        return self.speech.error(status, COMPLAINT, headers)


type Act = Callable[[Voice], Answer]
"""One answer of the provider."""


def healthy(said: Said = ANSWER) -> Act:
    return lambda voice: voice.stream(voice.events(said))


def silent(_: Voice) -> Answer:
    """Not even a head."""
    return Hang()


def opened(*steps: Step) -> Act:
    """The head of a stream, then these steps."""
    return lambda voice: voice.stream([], *steps)


def started(*steps: Step) -> Act:
    """All that comes before the first token, then these steps."""
    return lambda voice: voice.stream(voice.start(), *steps)


def error_in_band(voice: Voice) -> Answer:
    """What begins as a stream, and then the protocol's own error in it."""
    begun = voice.start()
    return voice.stream([*begun, *voice.speech.make_failure(COMPLAINT, len(begun))])


def error_after_text(voice: Voice) -> Answer:
    begun = voice.cut()
    return voice.stream([*begun, *voice.speech.make_failure(COMPLAINT, len(begun))])


def refused(status: int, *headers: tuple[str, str]) -> Act:
    return lambda voice: voice.error(status, headers)


def cut(*steps: Step, said: Said = ANSWER, after: str = CUT_AFTER) -> Act:
    """Half of the events, then these steps."""
    return lambda voice: voice.stream(voice.cut(said, after), *steps)


def cut_in_chunk(voice: Voice) -> Answer:
    """A close inside a chunk whose length was announced."""
    *events, last = voice.cut()
    return voice.stream(events, SendShort(last, missing=9), Fin())


def altered(change: Callable[[bytes], bytes]) -> Act:
    """A good stream whose events are written in another way."""
    return lambda voice: voice.stream([change(event) for event in voice.events()])


def other_line_ends(event: bytes) -> bytes:
    """CRLF where the protocol has LF, and the other way round."""
    return event.replace(b"\r\n", b"\n") if b"\r\n" in event else event.replace(b"\n", b"\r\n")


def on_two_lines(event: bytes) -> bytes:
    """JSON may be broken between two members; data lines are joined again by LF."""
    return event.replace(b',"', b',\ndata: "', 1)


def with_garbage(voice: Voice) -> Answer:
    """One line in the middle that means nothing."""
    begun, events = voice.cut(), voice.events()
    return voice.stream([*begun, b"garbage without a colon\n\n", *events[len(begun) :]])


def with_bare_fields(voice: Voice) -> Answer:
    """Events of a server that have no data."""
    begun, events = voice.cut(), voice.events()
    return voice.stream([b"retry: 3000\n\n", *begun, b"event: ping\n\n", *events[len(begun) :]])


def with_broken_json(voice: Voice) -> Answer:
    """An event in the middle whose data SDKs cannot parse."""
    begun, events = voice.cut(), voice.events()
    return voice.stream([*begun, b"data: {upstream timed out}\n\n", *events[len(begun) :]])


def interleaved(said: Said) -> Act:
    """Two tool calls whose fragments come in turns, where the protocol can say so: in a chat."""

    def make(voice: Voice) -> Answer:
        events = voice.events(said)
        if voice.speech.protocol == "openai_chat":
            apart = [[event for event in events if _index(number) in event] for number in range(2)]
            head = events[: events.index(apart[0][0])]
            tail = events[events.index(apart[1][-1]) + 1 :]
            events = [*head, *_in_turns(*apart), *tail]
        return voice.stream(events)

    return make


def _index(number: int) -> bytes:
    return b'"tool_calls":[{"index":%d' % number


def _in_turns(one: Sequence[bytes], other: Sequence[bytes]) -> list[bytes]:
    both = list(zip(one, other, strict=False))
    shared = [event for pair in both for event in pair]
    return [*shared, *one[len(both) :], *other[len(both) :]]


def slowed(seconds: float) -> Act:
    """So many seconds of silence before each event after the first token."""

    def make(voice: Voice) -> Answer:
        begun, events = voice.cut(after=WORDS[0]), voice.events()
        steps = [step for event in events[len(begun) :] for step in (Pause(seconds), Send(event))]
        return voice.stream(begun, *steps)

    return make


def changed(act: Act, **how: object) -> Act:
    """The same reply with other fields: its encoding, framing or pace."""

    def make(voice: Voice) -> Answer:
        reply = act(voice)
        assert isinstance(reply, Reply)
        return replace(reply, **how)  # type: ignore[arg-type]  # the fields of a Reply

    return make


def _position(events: Sequence[bytes], text: str) -> int:
    return next(number for number, event in enumerate(events) if text.encode() in event)
