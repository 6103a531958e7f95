"""A credential in use, as calls get it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from msgspec import Struct, structs
from pydantic import SecretStr

from addons.oauth.source import TokenSource
from addons.secrets.redaction import Blackout
from protocols.model.call import Call
from rewrite.credentials.credential import Credential
from rewrite.credentials.limits import amounts
from rewrite.credentials.sharing import Claim
from rewrite.credentials.windows import Unit
from rewrite.oauth.files import Tokens
from rewrite.policies.classify import LONGEST_MESSAGE
from rewrite.values.decision import NOT_AGAIN
from rewrite.values.events import Release
from rewrite.values.outcome import Outcome, Rejected


class Lease(Struct, frozen=True):
    """A credential in use."""

    name: str
    """By which messages and records know it."""
    secret: SecretStr
    """The key."""
    former: str | None = None
    """The name of the one that served the conversation before. None: not known."""
    pooled: bool = True
    """Whether it is ours and not the client's."""
    asked_last: tuple[str, ...] = ()
    """See `choosing.Chosen`."""
    probe: bool = False
    """See `choosing.Chosen`."""
    reason: str = ""
    """See `choosing.Chosen`."""
    ticket: int = 0
    """With which its call waited in line for it. 0: it did not."""
    source: TokenSource | None = None
    """Where another token comes from, if it is a login. None: it is a key."""
    account: str = ""
    """The account of the login."""
    project: str = ""
    """The project of Code Assist's that its calls are for. Empty: as the client says."""
    counted: Credential | None = None
    """The credential, where what it uses is counted."""
    claim: Claim | None = None
    """What it takes of what several proxies share. None: nothing."""

    def with_tokens(self, tokens: Tokens, project: str = "") -> "Lease":
        """The lease of a login with the token that it has now."""
        secret = SecretStr(tokens.access)
        return structs.replace(self, secret=secret, account=tokens.account, project=project)


NO_LEASE = Lease("none", SecretStr(""), pooled=False)
"""Of a provider that takes no credential."""


def used_by(lease: Lease, call: Call, release: Release | None) -> Mapping[Unit, float]:
    """What the attempt used of what is counted of `lease`."""
    if lease.counted is None or release is None:
        return {}
    return amounts(lease.counted, call, release.progress, release.before)


def without_keys(secrets: Callable[[], Iterable[SecretStr]], outcome: Outcome) -> Outcome:
    """`outcome` without any of `secrets`, which some providers repeat in a refusal: other clients may get it
    later, and it is written down."""
    if not isinstance(outcome, Rejected) or outcome.kind not in NOT_AGAIN:
        return outcome
    blackout, answer = Blackout(secrets()), outcome.answer
    message = blackout.text(outcome.message)
    if len(message) >= LONGEST_MESSAGE:  # it was cut, perhaps inside the key
        message = blackout.feed(message.encode("utf-8", "replace")).decode("utf-8", "replace")
    if answer is None:
        return replace(outcome, message=message)
    body, headers = blackout.whole(answer.body), blackout.headers(answer.headers)
    answer = replace(answer, body=body, headers=headers, reason=blackout.text(answer.reason))
    return replace(outcome, message=message, answer=answer)
