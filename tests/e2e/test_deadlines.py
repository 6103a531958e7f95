"""Timeouts of the model that is asked, not of the one that the client names."""

from pathlib import Path

from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.vendor import Hang, VendorThread

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
