"""What stands between a proxy and the store: it passes all on, and loses the answer that it is to lose."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from scripts.clustering.between import Between
from scripts.clustering.skewed import ahead
from tests.redis_server import WITHOUT, RedisServer

pytestmark = WITHOUT


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as found:
        yield found


def test_an_answer_is_lost_of_a_command_that_was_done(server: RedisServer) -> None:
    with Between(server.port) as between:
        with redis.Redis(port=between.port, retry=Retry(NoBackoff(), 0)) as client:
            client.set("before", 1)
            between.lose_answer()
            with pytest.raises(redis.ConnectionError):
                client.incr("count")
            assert client.get("count") == b"1"
        assert between.lost == 1


def test_what_is_published_is_not_lost(server: RedisServer) -> None:
    with Between(server.port) as between, redis.Redis(port=between.port) as client:
        with client.pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe("changes")
            listener.get_message(timeout=5)
            between.lose_answer()
            with server.client() as other:
                other.publish("changes", "heard")
            heard = listener.get_message(timeout=5)
            assert heard is not None
            assert heard["data"] == b"heard"
        assert between.lost == 0


def test_a_clock_is_set_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    monkeypatch.setattr(time, "time", time.time)
    ahead(600.0)
    assert time.time() - before >= 600.0
