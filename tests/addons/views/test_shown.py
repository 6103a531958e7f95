"""The columns of mitmweb: ours by default, the user's where there are any."""

from collections.abc import Sequence

import pytest
from mitmproxy.options import Options

from addons.views.shown import COLUMNS, show_columns

DEFAULT = ["tls", "icon", "path"]


def options() -> Options:
    made = Options()
    made.add_option("web_columns", Sequence[str], DEFAULT, "As in mitmweb.")
    return made


def test_the_comment_is_shown() -> None:
    opts = options()
    show_columns(opts)
    assert tuple(opts.web_columns) == COLUMNS
    assert "comment" in COLUMNS


@pytest.mark.parametrize("chosen", [["path"], []])
def test_what_the_user_chose_stays(chosen: list[str]) -> None:
    opts = options()
    opts.update(web_columns=chosen)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    show_columns(opts)
    assert opts.web_columns == chosen


def test_where_there_are_no_columns_nothing_is_set() -> None:
    show_columns(Options())
