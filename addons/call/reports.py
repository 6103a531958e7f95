"""What is left of a call that is over beside its record: its response, where it is kept."""

from addons.credentials.carriers import ClientCredential
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.record import Record
from addons.responses.kept import Responses, Turn, not_to_be_kept
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.responses.store import is_kept
from rewrite.targets.target import Target
from rewrite.values.events import Summary


class Reports:
    """Writes it down, of each call once."""

    def __init__(self, journal: Journal, pool: Pool, responses: Responses) -> None:
        self._journal, self._pool, self._responses = journal, pool, responses

    def over(self, record: Record, summary: Summary, turn: Turn, own: ClientCredential | None) -> None:
        """A call was answered, and has its record. `own`: the credential of its client."""
        if turn.call.protocol == RESPONSES:
            self._keep(turn, record.targets[summary.target], summary, own)

    def not_asked(self, record: Record, summary: Summary, own: ClientCredential | None) -> None:
        """No provider was asked."""
        self._journal.end(record, summary)

    def _keep(self, turn: Turn, target: Target, summary: Summary, own: ClientCredential | None) -> None:
        if target.translation is None:
            self._remember(turn, target, summary)
        else:
            hidden = not_to_be_kept(self._pool.secrets(), own)
            self._responses.keep(turn, target.translation, summary, hidden)

    def _remember(self, turn: Turn, target: Target, summary: Summary) -> None:
        """Which key made an answer that its provider keeps; others are never continued by their id."""
        head = summary.progress.head
        if head and target.terms.pooled and summary.attempts and is_kept(turn.body, summary.end):
            self._pool.made(target.provider.name, head.id, summary.attempts[-1].credential)
