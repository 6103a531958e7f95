"""A rule of the field cache: which field is kept of what a provider says, for whom, and where it goes."""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import blake2b

from protocols.model.wirejson import JsonObject
from rewrite.fields.paths import Steps

TTL = 86_400.0
"""Seconds for which values are kept, where a rule does not say."""
MOST_VALUES, MOST_BYTES = 1024, 4 << 20
"""How much a rule keeps, where it does not say."""


class Source(StrEnum):
    """What a rule reads. The first three are the provider's protocol as it is on the wire, before adapters;
    a streamed answer is a RESPONSE too, put together at its end."""

    REQUEST = "request"
    RESPONSE = "response"
    STREAM_EVENT = "stream_event"
    UNIFIED_REQUEST = "unified_request"
    """The `Prompt`."""
    UNIFIED_RESPONSE = "unified_response"
    """What the parts of an answer come to, see `rewrite.fields.answers`."""
    UNIFIED_STREAM_EVENT = "unified_stream_event"
    """Each part."""


class Mode(StrEnum):
    """Which of the values that were found are kept."""

    LAST = "last"
    """The last one."""
    ALL = "all"
    """All of a conversation, in order."""
    LAST_USER_TURN = "last_user_turn"
    """All since its user last spoke: a request that ends with what a tool gave is of the same turn."""
    LAST_ASSISTANT_TURN = "last_assistant_turn"
    """All of the last answer that had any."""
    PER_TOOL_CALL = "per_tool_call"
    """Those of each tool call, by its id."""


class Scope(StrEnum):
    """What a call must have in common with the one that gave a value."""

    PROVIDER = "provider"
    MODEL = "model"
    CREDENTIAL = "credential"
    SESSION = "session"


class Into(StrEnum):
    """Where a value goes."""

    REQUEST = "request"
    """The body for the provider, before adapters."""
    UNIFIED_REQUEST = "unified_request"
    """The `Prompt`, before it is written in the provider's protocol."""
    HEADERS = "headers"
    """A header of the request, whose name the path is."""


class Beside(StrEnum):
    """Where a value is inserted."""

    BEFORE = "before"
    """Before the joined call in its list, or before the object around it that the path leads to."""
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a rule. It begins at the tool call where values are joined to calls."""

    steps: Steps = ()
    """How it goes on from where it begins."""
    ups: int = 0
    """How many objects it goes out first: a `^` each. Lists between them do not count."""
    before: bool = False
    """Whether it begins at each item that stands before the call in its list, after any other call: `<`."""


@dataclass(frozen=True, slots=True)
class Inject:
    """Where the values of a rule go."""

    into: Into
    """The body, the prompt or a header."""
    place: Place = field(default_factory=Place)
    """Where in it; without a wildcard."""
    header: str = ""
    """The name of the header, in lower case; empty: none."""
    when_missing_only: bool = True
    """Whether what the client says wins. Null and what is empty count as missing."""
    placeholders: tuple[str, ...] = ()
    """Texts that count as missing too: what clients write where they have lost a value."""
    insert: Beside | int | None = None
    """Whether values become items of a list: beside the joined call, or of the list at `place` before the
    one of this number. None: they take the place of what is there."""
    as_list: bool = False
    """Whether all values go there as a list. If not, the last one does."""


SCOPE = frozenset({Scope.PROVIDER, Scope.MODEL, Scope.SESSION})
"""Where a rule does not say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    """By which records call it."""
    source: Source
    """What it reads."""
    place: Place
    """Where the field is."""
    inject: Inject
    """Where it goes."""
    model: str = "*"
    """A glob (fnmatchcase) over the model's name in lower case."""
    protocol: str = "*"
    """A glob over the name of the provider's protocol."""
    where: JsonObject = field(default_factory=dict)
    """What an object must say to be one of the values: each of these fields is the same, or one of a list.
    Texts are globs: `?*` is any text but an empty one."""
    mode: Mode = Mode.LAST
    """Which values are kept."""
    scope: frozenset[Scope] = SCOPE
    """Who gets them back."""
    ttl: float = TTL
    """Seconds for which they are kept; 0: for ever."""
    max_values: int = MOST_VALUES
    """Values that are kept of all calls together; the least recently used go first."""
    max_bytes: int = MOST_BYTES
    """Bytes of JSON that they may have together."""
    persist: bool = False
    """Whether they outlive a restart, where there is a folder for state."""
    digest: bytes = field(init=False, repr=False, compare=False)
    """Of all that decides what a value is: rules that differ in it never share one."""
    joins_alone: bool = field(init=False, repr=False, compare=False)
    """Whether a tool call alone says whose a value is: then only one that nobody else can have does."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "joins_alone", Scope.SESSION not in self.scope)
        said = (self.name, self.source, self.place, sorted(self.where.items()), self.mode, sorted(self.scope))
        object.__setattr__(self, "digest", blake2b(repr(said).encode(), digest_size=16).digest())

    def fits(self, protocol: str, model: str) -> bool:
        """Whether it is for calls of this model (in lower case) in this protocol."""
        return fnmatchcase(protocol, self.protocol) and fnmatchcase(model, self.model)
