"""The passes of a call as text: each beside what it changed."""

from rewrite.views.passes_text import Shown, passes_text

RAW = {"method": "POST", "target": "/v1/messages", "headers": ["Host: a"], "body": {"model": "c", "n": 1}}
SENT = {"method": "POST", "target": "http://b/v1", "headers": ["Host: b"], "body": {"model": "g", "n": 2}}


def one(name: str, data: object, direction: str = "request", *, changed: bool = True) -> Shown:
    return Shown(name, "(about)", direction, changed, data)


def test_a_request_from_the_client_to_the_provider() -> None:
    passes = [
        one("raw_request", RAW),
        one("routing", {"targets": ["openai"]}, changed=False),
        one("unified_request", {"class": "Prompt"}),
        one("built_request", {"model": "g", "n": 1}),
        one("adapter:other", {"model": "g", "n": 2}),
        one("adapter:none", None, changed=False),
        one("sent_request", SENT),
    ]
    text = passes_text(passes)
    sections = dict(section.split("\n", 1) for section in text.split("\n\n") if "\n" in section)
    assert sections["routing  (about)"] == "    targets:\n      - openai\n    "
    assert '    -   "model": "c",\n    +   "model": "g",' in sections["built_request  (about)"]
    assert '    -   "n": 1\n    +   "n": 2' in sections["adapter:other  (about)"]
    assert '    -   "target": "/v1/messages",' in sections["sent_request  (about)"]
    assert "body: no change" in sections["sent_request  (about)"]
    assert "adapter:none  (about)\n\n" in text


def test_events_of_a_stream() -> None:
    event = {"before": "data: a\n\n", "after": "data: b\n\n"}
    text = passes_text([one("formatted_response", event, "stream") for _ in range(5)])
    assert text.count("    - data: a\n    + data: b\n") == 3
    assert "... 2 more formatted_response" in text


def test_all_of_it_is_bounded() -> None:
    text = passes_text([one(f"pass{number}", {"said": "word " * 99}) for number in range(50)], longest=2_000)
    assert len(text) < 2_100
    assert text.endswith("see `rotator trace show`\n")
