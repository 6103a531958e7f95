"""Facts of clients: by the User-Agents that they were seen to send."""

import re

import pytest

from addons.config.settings import known_clients
from rewrite.catalog.clients import UNKNOWN, ClientFacts, client_facts, facts_for

ROWS = [
    ("claude-cli/2.1.329 (external, sdk-cli)", "claude", "X-Claude-Code-Session-Id", "length", "continue"),
    ("codex_exec/0.169.0 (Debian 13)", "codex", "session-id", "error", "error"),
    ("codex_cli_rs/0.169.0", "codex", "session-id", "error", "error"),
    ("GeminiCLI/0.61.0/gemini-2.5-pro (linux; x64; terminal)", "gemini-cli", "", "error", "continue"),
    ("opencode/1.18.33 ai-sdk/provider-utils", "opencode", "x-session-id", "length", "continue"),
    ("antigravity/hub/2.9.0 linux/amd64", "antigravity", "", "error", "length"),
    ("GitHubCopilotChat/0.30.1", "copilot-chat", "", "error", "length"),
    ("OpenAI/JS 5.20.1", "unknown", "", "error", "length"),
    ("Anthropic/Python 1.17.0", "unknown", "", "error", "length"),
    ("", "unknown", "", "error", "length"),
    (None, "unknown", "", "error", "length"),
]


def test_each_known_client_has_a_row() -> None:
    assert {name for _, name, *_ in ROWS} == {UNKNOWN.name, *(facts.name for facts in known_clients())}


@pytest.mark.parametrize(("user_agent", "name", "session_header", "cut_tool_call", "cut_text"), ROWS)
def test_what_is_known_of_a_client(
    user_agent: str | None, name: str, session_header: str, cut_tool_call: str, cut_text: str
) -> None:
    facts = facts_for(known_clients(), user_agent)
    assert (facts.name, facts.session_header) == (name, session_header)
    assert (facts.cut_tool_call, facts.cut_text) == (cut_tool_call, cut_text)
    assert facts.patience is None


def test_what_names_the_agents_of_a_client() -> None:
    found = {facts.name: (facts.agent_header, facts.parent_header) for facts in known_clients()}
    assert {name: headers for name, headers in found.items() if any(headers)} == {
        "claude": ("X-Claude-Code-Agent-Id", ""),
        "codex": ("thread-id", ""),
        "opencode": ("", "x-parent-session-id"),
    }


def test_the_first_match_wins_and_case_counts() -> None:
    known = client_facts(
        {
            "clients": [
                {"name": "a", "match": "tool/1*", "patience": 20},
                {"name": "b", "match": "tool/*", "cut_tool_call": "length"},
            ]
        }
    )
    assert facts_for(known, "tool/1.2") == ClientFacts("a", "tool/1*", patience=20.0)
    assert facts_for(known, "tool/2.0") == ClientFacts("b", "tool/*", cut_tool_call="length")
    assert facts_for(known, "Tool/1.2") is UNKNOWN


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "clients: expected a list of tables"),
        ({"clients": "x"}, "clients: expected a list of tables"),
        ({"clients": ["x"]}, "client: expected a table with name and match"),
        ({"clients": [{"name": "a"}]}, "client: expected a table with name and match"),
        ({"clients": [{"name": "a", "match": "a", "odd": 1}]}, "client a: unknown keys odd"),
        (
            {"clients": [{"name": "a", "match": "a", "session_header": 1}]},
            "client a: session_header: expected a text",
        ),
        (
            {"clients": [{"name": "a", "match": "a", "agent_header": ["x"]}]},
            "client a: agent_header: expected a text",
        ),
        (
            {"clients": [{"name": "a", "match": "a", "patience": True}]},
            "client a: patience: expected seconds above 0",
        ),
        (
            {"clients": [{"name": "a", "match": "a", "patience": 0}]},
            "client a: patience: expected seconds above 0",
        ),
        (
            {"clients": [{"name": "a", "match": "a", "cut_tool_call": "stop"}]},
            'client a: cut_tool_call: expected "error" or "length"',
        ),
        (
            {"clients": [{"name": "a", "match": "a", "cut_text": "stop"}]},
            'client a: cut_text: expected "length", "error" or "continue"',
        ),
    ],
)
def test_facts_that_are_wrong_are_refused_by_name(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        client_facts(mapping)
