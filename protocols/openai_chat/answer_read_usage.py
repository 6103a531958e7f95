"""The usage of a chat, as its many providers count it."""

from collections.abc import Sequence
from itertools import combinations

from protocols.model.parts import Usage
from protocols.model.wirejson import JsonObject, object_at, used_at
from protocols.shared.costs import COST_FIELDS, stated_cost
from protocols.shared.tiers import tier_of

_NONE = (0, 0, 0, 0)


def read_usage(usage: JsonObject, chunk: JsonObject) -> Usage:
    """That of `chunk`, which says on which terms it was served.

    Counts are inclusive, unless the total shows that some are not in the prompt or the completion. Measured:
    reasoning of xAI, audio of Mistral, and thoughts of Gemini, which only the total has. DeepSeek and others
    have names of their own for what was in the cache. OpenRouter's count of writes is 0 also for providers
    that say nothing of them.
    """
    prompt, completion = used_at(usage, "prompt_tokens"), used_at(usage, "completion_tokens")
    details = object_at(usage, "prompt_tokens_details")
    said = object_at(usage, "completion_tokens_details")
    reasoning, audio = used_at(said, "reasoning_tokens"), used_at(details, "audio_tokens") or None
    read, written = _cache_read(usage, details), _cache_written(usage, details)
    total = used_at(usage, "total_tokens") or 0
    missing = total - (prompt or 0) - (completion or 0)
    if missing > 0 and prompt and completion and not (reasoning or audio or read or written):
        reasoning = missing
    thought, *sent = _beside(missing, (reasoning or 0, audio or 0, read or 0, written or 0))
    return Usage(
        input=prompt if prompt is None else prompt + sum(sent),
        output=completion + thought if completion is not None else thought or None,
        cache_read=read,
        cache_write=written,
        reasoning=reasoning,
        cost=None if COST_FIELDS.isdisjoint(usage) else stated_cost(usage),
        input_audio=audio,
        output_audio=used_at(said, "audio_tokens") or None,
        output_image=used_at(said, "image_tokens") or None,
        tier=tier_of(usage, chunk),
    )


def _cache_read(usage: JsonObject, details: JsonObject) -> int | None:
    for place, name in ((details, "cached_tokens"), *((usage, name) for name in _CACHED)):
        if (count := used_at(place, name)) is not None:
            return count
    return None


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")


def _cache_written(usage: JsonObject, details: JsonObject) -> int | None:
    return used_at(details, "cache_write_tokens") or used_at(usage, "cache_creation_input_tokens") or None


def _beside(missing: int, parts: Sequence[int]) -> Sequence[int]:
    """Those of `parts` that the total has and neither prompt nor completion; 0 for the others."""
    if missing <= 0:
        return _NONE
    places = range(len(parts))
    for number in range(1, len(parts) + 1):
        for chosen in combinations([place for place in places if parts[place]], number):
            if sum(parts[place] for place in chosen) == missing:
                return [parts[place] if place in chosen else 0 for place in places]
    return _NONE
