"""README.md and the example name every built-in provider."""

import pytest

from addons.config.provider_files import built_in
from scripts.providers_doc import PLACES, ROOT, Place, documents, listed

PLACE = Place("x", "Built in:\n", "\nElse", 12, "# ")


def test_the_files_name_every_built_in_provider() -> None:
    for path, text in documents(built_in()):
        assert path.read_text(encoding="utf-8") == text, "run: python -m scripts.providers_doc"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.file)
def test_a_provider_that_is_new_makes_them_differ(place: Place) -> None:
    text = (ROOT / place.file).read_text(encoding="utf-8")
    found = dict(documents([*built_in(), "zzz"]))[ROOT / place.file]
    assert found != text
    assert " zzz." in found


def test_the_names_are_wrapped_and_all_else_stays() -> None:
    assert listed("a\nBuilt in:\nold,\nlist.\nElse\nb", PLACE, "alpha, beta, gamma.") == (
        "a\nBuilt in:\n# alpha,\n# beta,\n# gamma.\nElse\nb"
    )


def test_a_file_without_a_place_for_them_is_named() -> None:
    with pytest.raises(ValueError, match="x has no 'Built in"):
        listed("nothing", PLACE, "alpha.")
