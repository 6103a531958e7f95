"""Headers by which an answer says how it came about, where the config wants them."""

from collections.abc import Sequence
from dataclasses import replace

from addons.secrets.redaction import LONGEST_NAME
from protocols.model.call import Call
from protocols.model.http import Head, Headers
from rewrite.targets.target import Target

PREFIX = "x-rotator-"


def reported(head: Head, call: Call, attempts: int, asked: tuple[Target, str] | None) -> Head:
    """`head` with what is known of the call: its id, how often a provider was asked, and who was asked last,
    a target and the name of a credential. A rotator that the answer came from says nothing any more."""
    said = [("call", call.id), ("attempts", str(attempts))]
    if asked is not None:
        target, credential = asked
        model = [("model", target.call.model)] if target.call.model else []
        said += [("provider", target.provider.name), *model, ("credential", credential)]
    kept = [pair for pair in head.headers if not pair[0].lower().startswith(PREFIX)]
    return replace(head, headers=(*kept, *_fields(said)))


def _fields(said: Sequence[tuple[str, str]]) -> Headers:
    return tuple((PREFIX + name, _value(value)) for name, value in said)


def _value(text: str) -> str:
    """What a header may hold of it: a model is called as its client likes."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:LONGEST_NAME]).strip()
