"""A credential that its provider refused: what was said of it, and for how long it holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from protocols.model.http import WireResponse
from rewrite.values.outcome import Kind

REMEDIES: Mapping[Kind, str] = {
    Kind.AUTH: "check the key",
    Kind.QUOTA: "top up the account or raise its limit",
    Kind.MODEL_QUOTA: "raise its limit for this model, or use another one",
    Kind.FORBIDDEN: "check what the key may do",
    Kind.MODEL: "check which models the key may use",
}


@dataclass(frozen=True, slots=True)
class KeyRefusal:
    """What a provider said of one credential. Times are seconds on the machine's clock."""

    credential: str
    """Provider/name."""
    status: int
    """Of the answer that said it."""
    kind: Kind
    """What the answer blames."""
    message: str
    """The provider's own. Empty: it sent none."""
    code: str
    """The provider's own word for the error. Empty: it has none."""
    at: float
    """When it was said."""
    until: float
    """When the credential is tried again."""
    protocol: str
    """Of the client that got the answer."""
    answer: WireResponse | None
    """What that client got. None: it fits no other call, or is too long to keep."""

    @property
    def said(self) -> str:
        """Status and code, for a reader."""
        return f"{self.status} {self.code}" if self.code else str(self.status)


@dataclass(frozen=True, slots=True)
class StandingRefusal:
    """A refusal while it lasts."""

    refusal: KeyRefusal
    """What was said."""
    wait: float
    """Seconds until the credential is tried again."""

    @property
    def note(self) -> str:
        """Which key it is, when it is asked again, and what to do."""
        said = self.refusal
        again = f"it is tried again in {self.wait:.0f} s"
        return f"{said.credential} was refused ({said.said}); {again}; {REMEDIES[said.kind]}"
