"""Who asks, and where the conversation of a call stays, by the settings of its provider."""

import pytest

from addons.config.settings import known_clients
from addons.credentials.conversations import Asker, Conversations
from protocols.model.call import Call, Operation
from rewrite.catalog.clients import facts_for
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.credentials.state import PoolState

CLAUDE = facts_for(known_clients(), "claude-cli/2.1.329 (external)")
STATE = PoolState((Credential("one", "p"), Credential("two", "p")))


def agent(name: str) -> Asker:
    headers = (("X-Claude-Code-Session-Id", "a-session"), ("x-claude-code-agent-id", name))
    call = Call("c", "anthropic_messages", Operation.GENERATE, "m", True, headers)
    return Asker("anthropic_messages", "client", call=call, facts=CLAUDE)


@pytest.mark.parametrize(("spread", "prefer"), [(False, ("two",)), (True, ())])
def test_agents_of_a_session_stay_together_unless_they_are_spread(
    spread: bool, prefer: tuple[str, ...]
) -> None:
    conversations = Conversations()
    conversations.configure([Provider("p", "https://p", ("p",), ("openai_chat",), spread_subagents=spread)])
    first, second = agent("a1"), agent("a2")
    assert conversations.found("p", STATE, first, 1.0).prefer == ()
    conversations.began("p", first, "two", 1.0)
    assert conversations.found("p", STATE, first, 2.0).prefer == ("two",)
    assert conversations.found("p", STATE, second, 2.0).prefer == prefer
    assert first.witness("p") == second.witness("p")
