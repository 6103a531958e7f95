"""Which conversation a call belongs to, and which credential that conversation stays on."""

from collections import OrderedDict
from dataclasses import replace

from protocols.model.call import Call
from protocols.model.http import header
from protocols.model.wirejson import text_at

LONGEST_MEMORY = 10_000


def with_session(call: Call, session_header: str) -> Call:
    """`call` with the conversation's explicit id: the client's header, else what the body names."""
    named = header(call.headers, session_header) if session_header else None
    session = named or call.session or text_at(call.body, "previous_response_id") or None
    return replace(call, session=session)


class Sessions:
    """(provider, session) to credential name; the least recently used conversation is forgotten first."""

    def __init__(self, longest: int = LONGEST_MEMORY) -> None:
        self._served: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._longest = longest

    def credential(self, provider: str, session: str | None) -> str | None:
        return self._served.get((provider, session)) if session else None

    def served(self, provider: str, session: str | None, credential: str) -> None:
        if not session:
            return
        self._served[provider, session] = credential
        self._served.move_to_end((provider, session))
        if len(self._served) > self._longest:
            self._served.popitem(last=False)
