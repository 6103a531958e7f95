"""The headers themselves."""

from addons.call.report_headers import reported
from protocols.model.call import Call, Operation
from protocols.model.http import Head
from tests.rewrite.scenes import own

CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt\r\nx: y", True, ())


def test_a_value_is_one_that_a_header_may_have() -> None:
    head = reported(Head(200, (("a", "b"),)), CALL, 1, (own(CALL), "work"))
    assert head.headers[0] == ("a", "b")
    assert dict(head.headers)["x-rotator-model"] == "gpt??x: y"


def test_those_of_a_rotator_on_the_way_are_replaced() -> None:
    head = reported(Head(200, (("X-Rotator-Call", "1"), ("x-rotator-model", "m"))), CALL, 0, None)
    assert head.headers == (("x-rotator-call", "c0ffee"), ("x-rotator-attempts", "0"))
