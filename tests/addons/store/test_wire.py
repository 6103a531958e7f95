"""Commands as they leave. What comes of them is tested with the connection."""

from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import Connection

from addons.store.line import Argument
from addons.store.wire import packed

ARGUMENTS: st.SearchStrategy[Argument] = (
    st.text() | st.text("\ud83d\r\né$*") | st.binary() | st.integers() | st.floats()
)


@given(st.lists(ARGUMENTS))
def test_a_command_is_written_as_the_package_writes_it(arguments: list[Argument]) -> None:
    words = ("EVALSHA", *arguments)
    theirs = Connection(encoding_errors="surrogatepass").pack_command(*words)
    assert packed(words) == b"".join(theirs)


def test_an_array_of_bulk_strings() -> None:
    assert packed(("GET", "é", b"\n", 7)) == b"*4\r\n$3\r\nGET\r\n$2\r\n\xc3\xa9\r\n$1\r\n\n\r\n$1\r\n7\r\n"
