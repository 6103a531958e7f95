"""What a proxy is started with."""

import pytest

from rotator.options import Listening
from rotator.paths import state_folder
from rotator.starting import with_defaults

QUIET, KEPT = "rotator_quiet=true", f"rotator_usage={state_folder() / 'usage.sqlite'}"


@pytest.mark.parametrize(
    ("options", "host", "line"),
    [
        ([], "", ["--listen-host", "127.0.0.1", "--set", QUIET, "--set", KEPT]),
        (["--set", "rotator_quiet=false"], "0.0.0.0", ["--set", KEPT, "--set", "rotator_quiet=false"]),
        (["-p", "1"], "::1", ["--set", QUIET, "--set", KEPT, "-p", "1"]),
        (["--set", "rotator_usage=off"], "::1", ["--set", QUIET, "--set", "rotator_usage=off"]),
        (["--set", "rotator_state=x"], "::1", ["--set", QUIET, "--set", "rotator_state=x"]),
    ],
)
def test_it_serves_this_machine_and_says_no_more_than_it_must_unless_the_user_says_otherwise(
    options: list[str], host: str, line: list[str]
) -> None:
    assert with_defaults(options, Listening(host, 8080)) == line
