"""Who called, without the password."""

from mitmproxy.test import tflow

from addons.records.record import forget_password, same_user, user_of


def test_the_name_stays_and_the_password_goes() -> None:
    flow = tflow.tflow()
    flow.metadata["proxyauth"] = ("alice", "open-sesame")
    forget_password(flow)
    assert user_of(flow) == "alice"
    assert "open-sesame" not in str(flow.get_state())


def test_a_flow_that_nobody_gave_a_name_for_stays_as_it_is() -> None:
    flow = tflow.tflow()
    forget_password(flow)
    assert (user_of(flow), flow.metadata) == ("", {})


def test_a_part_of_a_flow_is_of_the_same_user() -> None:
    flow, turn = tflow.tflow(), tflow.tflow()
    same_user(turn, flow)
    assert user_of(turn) == ""
    flow.metadata["proxyauth"] = ("alice", "")
    same_user(turn, flow)
    assert user_of(turn) == "alice"
