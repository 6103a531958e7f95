"""One call as it is counted: for the log, the usage, the page and the metrics."""

from msgspec import Struct

from rewrite.records.verdict import Verdict


class Tokens(Struct, frozen=True):
    """Tokens by class, as they are paid for. None is counted in two classes, but for those that are a part of
    another one: `reasoning`, and what is audio or images."""

    input: int = 0
    """Neither read from a cache nor written to one."""
    cache_read: int = 0
    """Of the prompt, read from a cache."""
    cache_write: int = 0
    """Of the prompt, written to a cache that holds for minutes, or for a time that is not stated."""
    cache_write_1h: int = 0
    """Of the prompt, written to a cache that holds for an hour."""
    output: int = 0
    """Reasoning included."""
    reasoning: int = 0
    """Of the output, those of reasoning."""
    input_audio: int = 0
    """Of `input`, those of audio."""
    output_audio: int = 0
    """Of the output, those of audio."""
    output_image: int = 0
    """Of the output, those of images."""
    searches: int = 0
    """No tokens: searches of the web that the answer used and that are paid for one by one."""

    @property
    def prompt(self) -> int:
        """All of the prompt."""
        return self.input + self.cache_read + self.cache_write + self.cache_write_1h

    @property
    def total(self) -> int:
        """Prompt and output."""
        return self.prompt + self.output


class CallEntry(Struct, frozen=True):
    """A call that is over."""

    at: float
    """When it ended, in seconds since the epoch."""
    call: str
    """Its id."""
    provider: str
    """The name of the one that it ended at."""
    protocol: str
    """Of the client."""
    operation: str
    model: str
    """As it was asked for. Empty: the call names none."""
    served: str
    """The model that answered, as its provider names it. Empty: it names none, or nobody answered."""
    credential: str
    """The name of the last one that was asked with. Empty: nobody was asked."""
    user: str
    """Who called, by proxyauth. Empty: anybody."""
    verdict: Verdict
    status: int | None
    """Of the answer that the client got. None: it got none."""
    seconds: float
    """How long the call took."""
    first_token: float | None
    """Seconds to the first visible part. None: there was none."""
    attempts: int
    """How often a provider was asked."""
    tokens: Tokens | None
    """Of the answer that the client got, continuations included. None: nothing is known."""
    estimated: bool
    """The count of the output is ours, at least in part."""
    cost: float | None
    """US dollars. None: unknown."""
    cost_source: str
    """Who says so: `provider`, `prices` (data of this package), `own` (the user's table). Empty: nobody."""
    asked: str = ""
    """The model that the provider was asked for. Empty: the call names none, or nobody could be asked."""
    session: str = ""
    """A hash of its conversation's id, as traces have it. Empty: no header of the client names one."""
    failed_tokens: int = 0
    """Of attempts of which the client got nothing, as far as their providers reported them."""
    failed_cost: float = 0.0
    """US dollars for these."""

    @property
    def repaired(self) -> bool:
        """Its end is ours."""
        return self.verdict in (Verdict.TRUNCATED, Verdict.CONTINUED)
