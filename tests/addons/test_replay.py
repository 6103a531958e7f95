"""The answer of a replayed flow, kept instead of sent."""

from addons.replay import Buffer


async def test_an_answer_is_kept_whole() -> None:
    buffer = Buffer()
    await buffer.start(201, b"Made", [(b"X-Odd", b"caf\xe9"), (b"x-odd", b"2")])
    await buffer.send(b"one ")
    await buffer.send(b"two")
    await buffer.end()
    response = buffer.response
    assert (response.status_code, response.reason) == (201, "Made")
    assert response.headers.fields == ((b"X-Odd", b"caf\xe9"), (b"x-odd", b"2"))
    assert response.raw_content == b"one two"
    assert not buffer.draining


async def test_an_answer_that_breaks_is_a_502() -> None:
    buffer = Buffer()
    await buffer.start(200, b"OK", [])
    await buffer.send(b"half")
    await buffer.abort("the connection was reset")
    assert buffer.response.status_code == 502
    assert buffer.response.text == "the connection was reset"
