"""How often a property is tried that many tests try, each on data of its own."""

from hypothesis import settings


def share(percent: int) -> settings:
    """Settings with this part of the examples that a property usually gets."""
    return settings(max_examples=max(1, settings().max_examples * percent // 100))
