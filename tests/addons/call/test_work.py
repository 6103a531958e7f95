"""What a request costs grows with its length alone, whatever is in it: counted in lines of code that run."""

import json
import sys
from collections.abc import Callable
from types import CodeType

import pytest
from mitmproxy import http

from addons.call.answering import Answering
from addons.call.departure import Departure
from addons.call.fields import FieldCache
from addons.call.forwarding import Forwarder
from addons.call.recognition import Interception
from addons.config.settings import known_protocols
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.trace import Traces
from addons.secrets.redaction import Redactor
from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from tests.addons.call.heads import CHAT, CONFIG, flow_of, settings_of
from tests.addons.pages.bench import Bench
from tests.addons.team.unshared import users
from tests.addons.views.watching import unwatched

SIZE = 250_000
MOST_LINES = 20
"""Of code for each kilobyte of a request, besides those of a short one."""

TEXTS: dict[str, Callable[[int], object]] = {
    "words": lambda size: "some words, " * (size // 12),
    "almost base64": lambda size: ("a" * 999 + " ") * (size // 1000),
    "a little more than base64": lambda size: ("a" * 1000 + " ") * (size // 1001),
    "lines of base64": lambda size: ("a" * 76 + "\n") * (size // 77),
    "an image": lambda size: "a" * size,
    "digits": lambda size: "9" * size,
    "beginnings of tokens": lambda size: "eyJ" * (size // 3),
    "escapes": lambda size: "\x1b" * (size // 6),
    "emoji": lambda size: "\N{GRINNING FACE}" * (size // 12),
    "blanks": lambda size: " " * size,
    "turns": lambda size: [{"role": "user", "content": "Hi"}] * (size // 33),
    "lists": lambda size: [[]] * (size // 3),
}


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of code `work` runs, of any module."""
    monitoring, count = sys.monitoring, 0

    def line(code: CodeType, number: int) -> None:
        nonlocal count
        count += 1

    monitoring.use_tool_id(monitoring.PROFILER_ID, "the work of a request")
    try:
        monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.LINE, line)
        monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.LINE)
        work()
    finally:
        monitoring.set_events(monitoring.PROFILER_ID, 0)
        monitoring.free_tool_id(monitoring.PROFILER_ID)
    return count


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Callable[[http.HTTPFlow], object]:
    """Recognises a flow and plans its call, which is not begun."""
    redactor = Redactor()
    pool, journal = Pool(lambda: 0.0, lambda _: None), Journal(redactor)
    registry, settings = known_protocols(), settings_of(tmp_path_factory.mktemp("config"), CONFIG)
    interception = Interception(registry, pool, journal, redactor)
    interception.configure(settings)
    answering = Answering(
        registry,
        pool,
        journal,
        Traces(redactor),
        FieldCache(lambda: 0.0, redactor.holds_secret),
        unwatched(journal),
        users(),
    )
    answering.configure(settings, Upstream(Direct(tls_context(insecure=True, ca_file=None, ca_dir=None))))
    departure = Departure(interception, Forwarder(pool, journal), answering, journal, Bench().own_host)

    def begin(flow: http.HTTPFlow) -> object:
        assert interception.admit(flow)
        assert interception.error_response(flow) is None
        return departure.dispatch(flow)

    return begin


def asking(content: object) -> http.HTTPFlow:
    flow = flow_of(f"https://api.openai.com{CHAT}", authorization="Bearer sk-own-key-of-the-client")
    body = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": content}]}
    flow.request.content = json.dumps(body).encode()
    return flow


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_twice_the_request_is_no_more_than_twice_the_work(
    text: Callable[[int], object], begun: Callable[[http.HTTPFlow], object]
) -> None:
    begun(asking("Hi"))  # what is found out once
    short, long, longest = asking("Hi"), asking(text(SIZE)), asking(text(2 * SIZE))
    base = lines_of(lambda: begun(short))
    once, twice = lines_of(lambda: begun(long)) - base, lines_of(lambda: begun(longest)) - base
    assert once <= MOST_LINES * SIZE // 1000
    assert twice <= 2 * once + base


def test_the_head_of_a_request_is_not_read_for_its_body(begun: Callable[[http.HTTPFlow], object]) -> None:
    """A request that nothing rewrites is looked at, not parsed: however many turns, as many lines."""
    begun(asking([]))
    few, many = asking([{"role": "user"}] * 10), asking([{"role": "user"}] * 100)
    assert lines_of(lambda: begun(few)) >= lines_of(lambda: begun(many)) - MOST_LINES


# import
