"""Errors as OpenAI writes them."""

from protocols.model.parts import ErrorKind
from protocols.shared.openai_errors import COMMON_ERRORS, error_object


def test_a_kind_that_openai_has_a_word_for() -> None:
    assert error_object(COMMON_ERRORS, ErrorKind.QUOTA, "the account is empty", "server_error") == {
        "message": "the account is empty",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }


def test_another_kind_is_its_own_code_of_the_usual_type() -> None:
    error = error_object(COMMON_ERRORS, "proxy_fault", "no", "server_error")
    assert (error["type"], error["code"]) == ("server_error", "proxy_fault")
