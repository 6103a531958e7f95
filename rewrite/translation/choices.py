"""How many answers a request asks for."""

from protocols.model.call import Call
from protocols.model.wirejson import count_at

MOST_CHOICES = 128
"""More are not kept apart."""


def choices_asked(call: Call) -> int:
    """The `n` of a request, 0 where it says nothing: how many choices a whole answer has."""
    return min(count_at(call.body, "n") or 0, MOST_CHOICES)
