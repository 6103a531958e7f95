"""What the tests of tokens run against."""

from pathlib import Path

import pytest

from tests.addons.oauth.places import Place
from tests.rewrite.oauth.logins import CLAUDE, claude_file
from tests.vendor import Vendor


@pytest.fixture
def place(tmp_path: Path, vendor: Vendor) -> Place:
    place = Place(tmp_path, CLAUDE, vendor)
    place.write(claude_file())
    return place
