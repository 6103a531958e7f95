"""The seam of a provider's own code: one class, each of whose methods is an override point.

All of them are pure: values in, values out. What comes in is never edited in place, since a retry reads it
again. What a method of this class returns means "unchanged"; a method that is not overridden is not called.

A hook that raises costs the call that it was called for, and no other: its client gets an error that names
the hook, or where an answer is read, the answer as it is without the hook. What it raised is in the record.
"""

from dataclasses import dataclass

from protocols.model.call import Operation, Rendered
from protocols.model.http import Headers, WireResponse
from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject


class HookError(Exception):
    """What a hook raises to say in its own words, which the client reads, why it cannot serve a call. They
    hold no secret. Of any other exception the client reads the type alone."""


@dataclass(frozen=True, slots=True)
class About:
    """The call that a hook is called for."""

    provider: str
    """Its name in the config."""
    protocol: str
    """The one that the provider is asked in."""
    model: str | None
    """As the provider is asked for it."""
    operation: Operation
    """What the call asks for."""
    stream: bool
    """Whether the provider is asked for a stream."""
    headers: Headers = ()
    """Those of the client, in order, without any credential."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request as it would leave, with no credential on it."""

    method: str
    """Of HTTP."""
    url: str
    """Absolute, as it is sent: percent-encoded, with its query."""
    headers: Headers
    """In the order in which they are sent, Host among them; Content-Length is added later."""
    body: bytes
    """The bytes that are sent."""


class Hooks:
    """The code of one provider. One object serves all its calls, so it keeps no state of any of them.

    It is made without arguments when the config is read, and again when the config changes.
    """

    def check_key(self, key: str) -> None:
        """Look at a key of the config when that is read. Raises ValueError, which says what is wrong and what
        to do, without the key."""

    def prepare_request(self, request: Rendered, about: About) -> Rendered:
        """The request of a call, before its key is written: the path under `base_url` with its query, the
        JSON body after all adapters, and headers that are set besides those that go anyhow.

        Once for each target of a call. Raises Untranslatable where the provider cannot be asked that: the
        next target is, or the client gets a 400 with the reason.
        """
        return request

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        """All headers of `request` with the credential in them, in the place of the key in the header that
        `auth` names. Called last, for each attempt on a credential of the pool. None: the key goes where
        `auth` says.

        What it adds is never recorded. Requests that are passed through have no whole body that could be
        signed, so that these keep their client's own credential.
        """
        return None

    def read_error(self, answer: WireResponse, about: About) -> WireResponse:
        """An answer with an error status as the protocol would have it. What it blames is read from that by
        the provider's `errors`, when to ask again from its headers and its body; its client gets it."""
        return answer

    def read_part(self, part: JsonObject, about: About) -> JsonObject | None:
        """One object of an answer as the protocol would have it: an event of a stream, or the body of an
        answer that came whole. Before any adapter. None: an event is left out."""
        return part

    def read_usage(self, part: JsonObject, about: About) -> Usage | None:
        """The tokens and the cost that an object of an answer, as `read_part` gave it, states where the
        protocol does not look for them; the last ones hold. None: it states none."""
        return None

    def list_models(self, listing: object, about: About) -> object:
        """The JSON body of a list of models as the protocol would have it."""
        return listing


POINTS = tuple(name for name in vars(Hooks) if not name.startswith("_"))
"""The names of the override points."""
