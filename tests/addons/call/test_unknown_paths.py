"""Paths that are almost those of calls."""

import pytest

from addons.call.unknown_paths import nearest
from addons.config.provider_files import built_in
from rewrite.catalog.provider_tables import provider

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("openai", "/v1/chat/completion", "/v1/chat/completions"),
        ("openai", "/v1/v1/chat/completions", "/v1/chat/completions"),
        ("openai", "/v1/response", "/v1/responses"),
        ("anthropic", "/v1/message", "/v1/messages"),
        ("groq", "/v1/chat/completion", "/openai/v1/chat/completions"),
        (
            "gemini",
            "/v1beta/models/gemini-2.5-pro:generatContent",
            "/v1beta/models/gemini-2.5-pro:generateContent",
        ),
        ("openai", "/v1/files", ""),
        ("anthropic", "/api/event_logging/batch", ""),
        ("openai", "/", ""),
    ],
)
def test_the_path_of_a_call_that_is_most_like_it(name: str, path: str, expected: str) -> None:
    assert nearest(path, BUILT_IN[name]) == expected
