"""Timeouts of the model that is asked, not of the one that the client names."""

from pathlib import Path

from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.vendor import Hang, VendorThread, chat_stream, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ model = "gpt-4o" }}
to = ["openai/gpt-5"]
[[deadlines]]
match = {{ provider = "openai", model = "gpt-5*", reasoning = "low" }}
first_event_timeout = 0.2
"""


def test_the_deadline_of_the_target_ends_its_silence(tmp_path: Path) -> None:
    with (
        VendorThread() as vendor,
        Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys={"ONE": "sk-pool-one"}) as proxy,
        client(proxy) as http,
    ):
        vendor.reply(Hang())
        answer = http.post(
            "https://api.openai.com/v1/chat/completions",
            headers={"authorization": "Bearer sk-own"},
            content=ask("gpt-4o", reasoning_effort="low"),
        )
        log = proxy.wait_log("end=completed")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "stalled(first_event 0.2s)" in log
    assert len(vendor.requests) == 2


GROUP = """
[providers.openai]
base_url = "{url}/first"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.groq]
base_url = "{url}/second"
credentials = [{{ name = "four", key = "env:FOUR" }}]
[[routes]]
match = {{ model = "gpt-4o" }}
to = ["openai/gpt-4o", "groq/served"]
[retry]
deadline = 0.1
[streaming]
first_event_timeout = 0.3
slow_start_timeout = 0.3
"""


def test_a_silent_target_leaves_time_for_the_next_one(tmp_path: Path) -> None:
    """Though the deadline is over by then, and another attempt is left at the first one."""
    keys = {name: f"sk-pool-{name.lower()}" for name in ("ONE", "TWO", "FOUR")}
    with (
        VendorThread() as vendor,
        Proxy(tmp_path, GROUP.format(url=vendor.base_url), keys=keys) as proxy,
        client(proxy) as http,
    ):
        vendor.on(path="/first/v1/chat/completions").always(Hang())
        vendor.on(path="/second/chat/completions").always(streamed(chat_stream(["Hello"])))
        answer = http.post(
            "https://api.openai.com/v1/chat/completions",
            headers={"authorization": "Bearer sk-own"},
            content=ask("gpt-4o"),
        )
        log = proxy.wait_log("end=completed")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert log.count("stalled(first_event 0.3s)") == 2
    assert [request.path.split("/")[1] for request in vendor.requests] == ["first", "first", "second"]
