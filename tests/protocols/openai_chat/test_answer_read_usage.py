"""The usage of a chat: what is in the prompt and the completion, and what is beside them."""

import pytest

from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject
from protocols.openai_chat.answer_read_usage import read_usage


def usage(
    prompt: int, completion: int, total: int, reasoning: int = 0, cached: int = 0, audio: int = 0
) -> JsonObject:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (usage(10, 7, 17, 4, 6), (10, 7)),
        (usage(10, 7, 21, 4, 6), (10, 11)),
        (usage(10, 7, 23, 4, 6), (16, 7)),
        (usage(10, 7, 27, 4, 6), (16, 11)),
        (usage(10, 7, 26, 4, 6, 9), (19, 7)),
        (usage(10, 7, 99, 4, 6), (10, 7)),
        (usage(10, 7, 40), (10, 30)),
        (usage(10, 7, 3, 4, 6), (10, 7)),
        ({"prompt_tokens": 10}, (10, None)),
        ({"total_tokens": 10}, (None, None)),
        ({"prompt_tokens": 10, "completion_tokens": None, "total_tokens": None}, (10, None)),
    ],
)
def test_the_total_shows_what_is_beside(said: JsonObject, found: tuple[int | None, int | None]) -> None:
    read = read_usage(said, {})
    assert (read.input, read.output) == found


def test_thoughts_that_only_the_total_has_are_reasoning() -> None:
    assert read_usage(usage(35, 12, 109), {}).reasoning == 62


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens_details": {"cached_tokens": 5}},
        {"prompt_cache_hit_tokens": 5},
        {"cached_tokens": 5},
        {"num_cached_tokens": 5},
        {"cache_read_input_tokens": 5},
    ],
)
def test_what_was_in_the_cache_has_several_names(said: JsonObject) -> None:
    assert read_usage({"prompt_tokens": 9, **said}, {}) == Usage(input=9, cache_read=5)


def test_writes_and_modalities_and_terms() -> None:
    said = {
        "prompt_tokens": 9,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cache_write_tokens": 4, "audio_tokens": 3},
        "completion_tokens_details": {"audio_tokens": 2, "image_tokens": 1},
    }
    found = read_usage(said, {"service_tier": "flex"})
    assert found == Usage(9, 8, cache_write=4, input_audio=3, output_audio=2, output_image=1, tier="flex")
    assert read_usage({"cache_creation_input_tokens": 4}, {}).cache_write == 4
