"""A credential that its provider refused: what was said of it, and for how long it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from protocols.model.http import WireResponse
from rewrite.values.outcome import Kind

REMEDIES: Mapping[Kind, str] = {
    Kind.AUTH: "check the key",
    Kind.QUOTA: "top up the account or raise its limit",
    Kind.FORBIDDEN: "check what the key may do",
    Kind.MODEL: "check which models the key may use",
}


@dataclass(frozen=True, slots=True)
class KeyRefusal:
    """What a provider said of one credential.

    `credential`: provider/name.
    `status`, `kind`, `message`: those of the rejection.
    `code`: the provider's own word for the error, empty where it has none.
    `at`, `until`: when it was said, and when the credential is asked again; seconds on the machine's clock.
    `answer`: what a client of `protocol` got; None where it fits no other call, or is too long to keep.
    """

    credential: str
    status: int
    kind: Kind
    message: str
    code: str
    at: float
    until: float
    protocol: str
    answer: WireResponse | None

    @property
    def said(self) -> str:
        """Status and code, for a reader."""
        return f"{self.status} {self.code}" if self.code else str(self.status)


@dataclass(frozen=True, slots=True)
class StandingRefusal:
    """A refusal while it lasts. `wait`: seconds until the credential is asked again."""

    refusal: KeyRefusal
    wait: float

    @property
    def note(self) -> str:
        """Which key it is, when it is asked again, and what to do."""
        said = self.refusal
        again = f"it is tried again in {self.wait:.0f} s"
        return f"{said.credential} was refused ({said.said}); {again}; {REMEDIES[said.kind]}"
