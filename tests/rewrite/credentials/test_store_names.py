"""Names in the store: no text of a client makes one into another."""

from rewrite.credentials.store_names import place_field, probe_key, used_key
from rewrite.credentials.stored import Subject

ONE = Subject("p", "one", "6d61726b")


def test_a_window_is_named_by_all_that_distinguishes_it() -> None:
    assert (
        used_key(ONE, "requests/60.0", "model:ü")
        == 'u:["p","one","6d61726b","requests/60.0","model:\\u00fc"]'
    )
    assert used_key(ONE, "requests/60.0", 'x","y') != used_key(ONE, 'requests/60.0","x', "y")


def test_places_and_probes_are_named_by_whose_they_are() -> None:
    assert place_field(ONE) == "p\none\n6d61726b"
    assert probe_key("p", "model:m") == "probe:p\nmodel:m"
