"""A status is the same again as long as only the time has passed."""

from addons.pages.dates import dated


def test_times_become_dates() -> None:
    status = {
        "waiting": 3,
        "calls": [{"since": 10.2, "seconds": None}, {"since": 1, "seconds": 5}],
        "providers": {"openai": {"paused": {"": 30.0}, "credentials": [{"scopes": {"model:x": 9.0}}]}},
    }
    assert dated(status, 1000.0) == {
        "waiting": 3,
        "calls": [{"since": 990, "seconds": None}, {"since": 999, "seconds": 1005}],
        "providers": {"openai": {"paused": {"": 1030}, "credentials": [{"scopes": {"model:x": 1009}}]}},
    }


def test_only_what_is_more_than_time_is_a_change() -> None:
    before = {"calls": [{"since": 1.0, "seconds": 8.0, "why": "is tried again in 8 s"}]}
    after = {"calls": [{"since": 3.0, "seconds": 6.0, "why": "is tried again in 6 s"}]}
    assert dated(before, 100.0) == dated(after, 102.0)
    later = {"calls": [{"since": 3.0, "seconds": 60.0, "why": "is tried again in 60 s"}]}
    assert dated(before, 100.0) != dated(later, 102.0)
