"""The passes of a call: one entry for each state that its request and its answer go through, for its trace.

A call that is traced has a `CallTrace`, which numbers the entries and gives them to a `Sink`. One that is not
has None in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from protocols.model.http import Headers


class Direction(StrEnum):
    """Which way a pass goes."""

    REQUEST = "request"
    RESPONSE = "response"
    STREAM = "stream"


class Stage(StrEnum):
    """Where a pass is made."""

    CLIENT = "client"
    """What crosses the edge to the client."""
    PROXY = "proxy"
    PROVIDER = "provider"
    """What crosses the edge to the provider."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One pass of one call."""

    sequence: int
    """Counted from 1 within the call."""
    name: str
    """That of the pass, such as `built_request`."""
    direction: Direction
    stage: Stage
    call: str
    """The id of the call."""
    attempt: int
    """Counted from 1. 0: before the first one."""
    time: float
    """In epoch seconds."""
    protocol: str
    """The name of the one that `data` is written in."""
    provider: str
    """The name of the one that is asked; before the first attempt, of the one that the client called."""
    model: str
    """The one that is asked for. Empty: none."""
    credential: str
    """The name of the attempt's. Empty: there is none yet."""
    session: str
    """A hash of the conversation's id. Empty: it has none."""
    changed: bool
    """Whether `data` is another state than that of the pass before. The first of each way is."""
    data: object
    """JSON values, bytes, and dataclasses of ours: nothing that is edited later. None: there is nothing to
    say, such as of an adapter that changed nothing."""


class Sink(Protocol):
    """Where the entries of one call go. It takes what it gets in memory and never raises."""

    def entry(self, entry: Entry) -> None: ...

    def data(self, file: str, chunk: bytes) -> None:
        """Bytes as they came or left, in order. `file`: `client`, or `provider-N` for the attempt N."""
        ...

    def close(self) -> None:
        """The call is over: nothing more comes."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom an attempt asks, or a client means."""

    protocol: str
    provider: str
    model: str
    attempt: int = 0
    """Counted from 1. 0: the call before its first attempt."""
    credential: str = ""
    """Its name."""


class CallTrace:
    """Makes the entries of one call. `now` is the time of what is noted, in seconds on the machine's clock:
    whoever drives the call writes it."""

    def __init__(
        self, sink: Sink, call: str, began: Asked, now: float, epoch: float, session: str = ""
    ) -> None:
        """`call`: its id; `began`: what its client asked, in its protocol; `epoch`: epoch seconds at second 0
        of the machine's clock; `session`: a hash of its conversation's id."""
        self.now = now
        self._sink, self._call, self._began, self._epoch = sink, call, began, epoch
        self._session = session
        self._asked = began
        self._sequence = 0
        self._closed = False

    def asks(self, asked: Asked) -> None:
        """What is noted from now on is about `asked`."""
        self._asked = asked

    def note(
        self,
        name: str,
        direction: Direction,
        stage: Stage,
        data: object = None,
        *,
        changed: bool = False,
        about: Asked | None = None,
    ) -> None:
        """One pass. `about`: whom it is about; None: the attempt under way."""
        self._sequence += 1
        asked, at_client = about or self._asked, stage is Stage.CLIENT
        entry = Entry(
            self._sequence,
            name,
            direction,
            stage,
            self._call,
            asked.attempt,
            self._epoch + self.now,
            self._began.protocol if at_client else asked.protocol,
            asked.provider,
            asked.model,
            asked.credential,
            self._session,
            changed,
            data,
        )
        self._sink.entry(entry)

    def from_provider(self, chunk: bytes) -> None:
        """Bytes of the body of an answer, as they came."""
        self._sink.data(f"provider-{self._asked.attempt}", chunk)

    def to_client(self, chunk: bytes) -> None:
        """Bytes of a body, as they left."""
        self._sink.data("client", chunk)

    def close(self) -> None:
        """The call is over. A second time it does nothing."""
        if not self._closed:
            self._closed = True
            self._sink.close()


class TargetTrace:
    """The passes of a request at one target, kept while it is planned. They become entries when the
    target is asked, so that one that is never asked leaves none."""

    def __init__(self, call: CallTrace) -> None:
        self.call = call
        self._planned: list[tuple[str, object, bool]] = []

    def planned(self, name: str, data: object = None, *, changed: bool = False) -> None:
        """The request came to `data` in the pass `name`."""
        self._planned.append((name, data, changed))

    def forget(self) -> None:
        """It is planned once more, for one attempt."""
        self._planned = []

    def asked(self) -> None:
        """An attempt asks it: what was planned is noted, once."""
        planned, self._planned = self._planned, []
        for name, data, changed in planned:
            self.call.note(name, Direction.REQUEST, Stage.PROXY, data, changed=changed)


def fields_of(headers: Headers) -> Sequence[Sequence[str]]:
    """Headers as the data of an entry: pairs of name and value, in order."""
    return [[name, value] for name, value in headers]
