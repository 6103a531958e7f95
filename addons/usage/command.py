"""The command of mitmproxy by which a person sees what calls used and cost."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from mitmproxy import command, exceptions

from addons.usage.database import Trouble
from addons.usage.ledger import Ledger
from addons.usage.queries import Row, Usage, by_of, since_of
from rewrite.records.texts import amount, dollars


class UsageCommand:
    """An add-on of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @command.command("rotator.usage")  # type: ignore[untyped-decorator]  # mitmproxy has no types here
    def usage(self, since: str = "7d", by: str = "provider,model") -> Sequence[str]:
        """What calls used and cost SINCE 7d, 24h or a date, BY provider, model, credential, user, day."""
        try:
            found = self._ledger.usage(since_of(since, datetime.now(UTC)), by_of(by))
        except (ValueError, *Trouble) as error:
            raise exceptions.CommandError(str(error)) from None
        return list(usage_lines(found))


def usage_lines(found: Usage) -> Iterator[str]:
    """A line for each row that says all by itself, and one for the total."""
    if not found.rows:
        yield "no calls are kept of that time"
        return
    for row in found.rows:
        yield f"{' '.join(label or '-' for label in row.group) or 'calls'}: {_said(row)}"
    yield f"in all: {_said(found.total)}"


def _said(row: Row) -> str:
    tokens, prompt = row.tokens, row.tokens.input + row.tokens.cache_read
    prompt += tokens.cache_write + tokens.cache_write_1h
    said = [f"{row.calls} call{'s' * (row.calls != 1)}", f"{amount(prompt)}>{amount(tokens.output)} tokens"]
    said.append(_cost(row))
    happened = {"retried": row.retried, "repaired": row.repaired, "failed": row.failed}
    return ", ".join([*said, *(f"{count} {name}" for name, count in happened.items() if count)])


def _cost(row: Row) -> str:
    if not row.unpriced:
        return dollars(row.cost)
    return f"{dollars(row.cost)} without {row.unpriced} of no known price" if row.cost else "no known price"
