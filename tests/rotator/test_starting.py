"""What a proxy is started with."""

import pytest

from rotator.options import Listening
from rotator.starting import with_defaults


@pytest.mark.parametrize(
    ("options", "host", "line"),
    [
        ([], "", ["--listen-host", "127.0.0.1", "--set", "rotator_quiet=true"]),
        (["--set", "rotator_quiet=false"], "0.0.0.0", ["--set", "rotator_quiet=false"]),
        (["-p", "1"], "::1", ["--set", "rotator_quiet=true", "-p", "1"]),
    ],
)
def test_it_serves_this_machine_and_says_no_more_than_it_must_unless_the_user_says_otherwise(
    options: list[str], host: str, line: list[str]
) -> None:
    assert with_defaults(options, Listening(host, 8080)) == line
