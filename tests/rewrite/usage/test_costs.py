"""What the attempts of a call come to."""

from protocols.model.parts import Usage
from rewrite.usage.costs import Charges, Cost, charges
from rewrite.usage.entry import Tokens
from rewrite.values.decision import Ended
from rewrite.values.outcome import Completed


def ended(usage: Usage | None, *, given: bool = True, estimated: bool = False) -> Ended:
    return Ended(1, "a", Completed(), 0.0, usage=usage, given=given, estimated=estimated)


def priced(one: Ended) -> Cost | None:
    """A dollar a token of output; what the provider states goes before; without output nothing is known."""
    usage = one.usage or Usage()
    if usage.cost is not None:
        return Cost(usage.cost, "provider")
    return Cost(float(usage.output), "prices") if usage.output else None


def test_nothing_is_known_of_attempts_that_counted_nothing() -> None:
    assert charges([], priced) == charges([ended(None), ended(None, given=False)], priced) == Charges()


def test_one_attempt_is_the_whole_call() -> None:
    found = charges([ended(Usage(input=10, output=5, cache_read=4), estimated=True)], priced)
    assert found == Charges(Tokens(input=6, cache_read=4, output=5), True, Cost(5.0, "prices"))
    assert charges([ended(Usage(input=1, output=1), given=False)], priced).tokens is None


def test_a_continued_answer_is_the_sum_of_its_parts() -> None:
    parts = [
        ended(Usage(input=10, output=5, cache_read=4), estimated=True),
        ended(Usage(input=16, output=7)),
    ]
    tokens = Tokens(input=22, cache_read=4, output=12)
    assert charges(parts, priced) == Charges(tokens, True, Cost(12.0, "prices"))


def test_a_sum_is_as_sure_as_the_least_sure_part() -> None:
    stated, counted = ended(Usage(output=1, cost=0.5)), ended(Usage(output=2))
    assert charges([stated, counted], priced).cost == Cost(2.5, "prices")
    assert charges([stated, stated], priced).cost == Cost(1.0, "provider")


def test_a_part_without_a_price_leaves_the_call_without_a_cost() -> None:
    found = charges([ended(Usage(output=3)), ended(Usage(input=2))], priced)
    assert (found.tokens, found.cost) == (Tokens(input=2, output=3), None)


def test_what_failed_is_apart() -> None:
    lost = ended(Usage(input=10, output=1), given=False)
    unknown = ended(Usage(input=3), given=False)
    found = charges([lost, unknown, ended(Usage(input=10, output=5))], priced)
    assert found == Charges(Tokens(input=10, output=5), False, Cost(5.0, "prices"), 14, 1.0)
