"""Lists of models: where they are asked for, and what is counted in them."""

import pytest

from addons.config.provider_files import built_in
from protocols.registry import discover
from rewrite.catalog.model_lists import count, list_of_models, models_headers
from rewrite.catalog.provider_tables import provider

PATHS = {
    "anthropic": "/v1/models",
    "azure": "/openai/v1/models",
    "deepseek": "/models",
    "gemini": "/v1beta/models",
    "groq": "/openai/v1/models",
    "ollama": "/api/tags",
    "openai": "/v1/models",
    "openrouter": "/api/v1/models",
    "vertex": "/v1beta1/publishers/google/models",
    "zai": "/api/paas/v4/models",
}
WITHOUT = {"antigravity", "bedrock", "chatgpt", "code_assist"}
BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
REGISTRY = {protocol.name: protocol for protocol in discover()}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_provider_is_asked_at_a_path_that_is_known_as_a_list(name: str) -> None:
    found = list_of_models(BUILT_IN[name], REGISTRY)
    assert (found is None) == (name in WITHOUT)
    if found and name in PATHS:
        assert found[0] == PATHS[name]


def test_a_version_goes_where_one_is_asked_for() -> None:
    assert ("anthropic-version", "2023-06-01") in models_headers("anthropic_messages")
    assert models_headers("openai_chat") == (("accept", "application/json"),)


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, 2),
        ({"models": [{"name": "models/a"}], "nextPageToken": "x"}, 1),
        ([{"id": "a"}], 1),
        ({"models": []}, 0),
        ({"error": {}}, None),
        (None, None),
    ],
)
def test_what_is_listed_is_counted(body: dict[str, object] | list[object] | None, models: int | None) -> None:
    assert count(body) == models
