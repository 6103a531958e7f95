"""Traces as `rotator trace` shows them: those that the proxy writes, and broken ones."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from addons.config.tracing import Tracing
from addons.records import trace_reading as traces
from addons.records.trace import Traces
from addons.records.trace_reading import NoTrace, Trace
from addons.secrets.redaction import Redactor
from rewrite.catalog.routes import Rule
from rewrite.records.passes import Asked, CallTrace, Direction, Stage
from rotator import trace_text
from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.rotator.command import rotator
from tests.vendor import VendorThread, chat_error

NOW = 1_728_000_000.0  # 2024-10-04 00:00:00 UTC
ONE, TWO = (
    Asked("openai_chat", "openai", "gpt-5", 1, "one"),
    Asked("openai_chat", "openai", "gpt-5", 2, "two"),
)
AGAIN = Asked("openai_chat", "openai", "gpt-5", 2, "one")
ELSEWHERE = Asked("openai_chat", "openrouter", "gpt-5", 2, "three")
BODY = '{"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}'
SENT = '{"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}], "stream": true}'
UTC = {"TZ": "UTC"}
KEYS = {"ONE": "sk-pool-number-one-0001", "TWO": "sk-pool-number-two-0002"}
CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[trace]
directory = "traces"
"""


def play(root: Path, call: str, *asked: Asked, verdict: str = "ok", body: str = BODY) -> None:
    """A call that asked so often, as the proxy writes it down. `verdict=""`: it is under way."""
    written = Traces(Redactor(), lambda: NOW)
    written.configure(Tracing(root), root)
    sink = written.begin(call, Rule(), list)
    assert sink is not None
    trace = CallTrace(sink, call, Asked("openai_chat", "openai", "gpt-5"), 0.0, NOW)
    request = {"method": "POST", "headers": [["host", "api.openai.com"]], "body": body}
    trace.note("raw_request", Direction.REQUEST, Stage.CLIENT, request, changed=True)
    trace.note("built_request", Direction.REQUEST, Stage.PROXY)
    for one in asked:
        trace.asks(one)
        trace.now += 0.25
        request = {"method": "POST", "headers": [["host", "api.openai.com"]], "body": SENT}
        trace.note("sent_request", Direction.REQUEST, Stage.PROVIDER, request, changed=True)
    if verdict:
        data = {"status": 200, "headers": [], "verdict": verdict, "end": "completed", "detail": ""}
        trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT, data, changed=True)
    trace.close()
    written.close()


def read(root: Path, prefix: str) -> Trace:
    return traces.read(traces.find(root, prefix))


def written(*parts: object, width: int = 110) -> str:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def test_the_list(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    play(tmp_path, "0b22", ONE, ELSEWHERE, verdict="fallback")
    play(tmp_path, "0c33", ONE, verdict="")
    done = rotator(tmp_path, "trace", "list", "--directory", str(tmp_path), environment=UTC)
    assert done.stdout.splitlines() == [
        "call  began           asked for     answered by               verdict   status  passes  size",
        "0a11  10-04 00:00:00  openai/gpt-5  openai/gpt-5 (one)        ok           200       4  2 kB",
        "0b22  10-04 00:00:00  openai/gpt-5  openrouter/gpt-5 (three)  fallback     200       5  2 kB",
        "0c33  10-04 00:00:00  openai/gpt-5  openai/gpt-5 (one)        not over               3  1 kB",
    ]


def test_the_newest_are_listed_and_the_others_are_counted(tmp_path: Path) -> None:
    for call in ("0a", "0b", "0c"):
        play(tmp_path, call, ONE)
    done = rotator(tmp_path, "trace", "list", "--directory", str(tmp_path), "-n", "1")
    assert [line[:2] for line in done.stdout.splitlines()] == ["ca", "0c"]
    assert done.stderr == "2 older ones: -n 3\n"


def test_the_directory_is_that_of_the_config(tmp_path: Path) -> None:
    config = tmp_path / "rotator.toml"
    config.write_text(
        '[trace]\ndirectory = "kept"\n[providers.openai]\ncredentials = [{key = "cmd:touch ran"}]\n'
    )
    config.chmod(0o600)
    play(tmp_path / "kept", "0a11", ONE)
    assert "0a11" in rotator(tmp_path, "trace", "list").stdout
    assert not (tmp_path / "ran").exists()


def test_a_model_cannot_say_what_the_terminal_does(tmp_path: Path) -> None:
    folder = tmp_path / ".local/state/rotator/traces"
    asked = Asked("openai_chat", "openai", "\x1b[2J\x9b31m\nfake\u202e", 1, "one")
    play(folder, "0a11", asked, body='{"model": "\x9b2J\u202e"}')
    for arguments in (("list",), ("show", "0a11"), ("diff", "0a11", "raw_request", "sent_request")):
        done = rotator(tmp_path, "trace", *arguments)
        assert done.stdout.replace("\n", "").isprintable(), done.stdout
        assert r"\x9b" in done.stdout


def test_where_there_are_none_it_says_how_to_turn_them_on(tmp_path: Path) -> None:
    done = rotator(tmp_path, "trace", "list")
    assert done.returncode == 1
    folder = tmp_path / ".local/state/rotator/traces"
    assert done.stderr == (
        f"no traces in {folder}: turn them on with `directory` in [trace] of the config (docs/trace.md)\n"
    )


def test_a_config_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text("[trace\n")
    (tmp_path / "rotator.toml").chmod(0o600)
    done = rotator(tmp_path, "trace", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/rotator.toml: is not valid TOML" in done.stderr
    assert "Traceback" not in done.stderr


SHOWN = """\
0a11  2024-10-04 00:00:00  ok
FOLDER
1 raw_request  request at client  openai/gpt-5, openai_chat  +0.000 s  changed
    {
      "method": "POST",
      "headers": [
        "host: api.openai.com"
      ],
      "body": {
        "model": "gpt-5",
        "messages": [
          {
            "role": "user",
            "content": "Hi"
          }
        ]
      }
    }
2 built_request  request at proxy  openai/gpt-5, openai_chat  +0.000 s
3 sent_request  request at provider  attempt 1, openai/gpt-5 (one), openai_chat  +0.250 s  changed
"""


def test_a_call_is_shown_pass_by_pass(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    done = rotator(tmp_path, "trace", "show", "0a", "--directory", str(tmp_path), environment=UTC)
    assert done.stdout.startswith(SHOWN.replace("FOLDER", str(traces.find(tmp_path, "0a"))))


def test_long_values_and_events_of_a_stream_are_folded(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE, body=json.dumps({"messages": ["x" * 1000], "many": [*range(100)]}))
    file = traces.find(tmp_path, "0a11") / "transform_trace.jsonl"
    event = '{"sequence": 9, "pass": "formatted_response", "direction": "stream", "data": {"after": "e"}}\n'
    file.write_text(file.read_text() + 10 * event)
    trace = read(tmp_path, "0a11")
    short, full = (written(*trace_text.shown(trace, full=wanted), width=2000) for wanted in (False, True))
    assert "x... (700 more characters, --full)" in short
    assert "... (60 more, --full)" in short
    assert "... 7 more formatted_response (--full)" in short
    assert ("x" * 1000 in full, full.count("formatted_response"), "--full" in full) == (True, 10, False)


def test_a_broken_trace_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    folder = traces.find(tmp_path, "0a11")
    lines = (folder / "transform_trace.jsonl").read_text().splitlines()
    (folder / "transform_trace.jsonl").write_text("\n".join([lines[0], "nonsense", lines[2], lines[3][:40]]))
    done = rotator(tmp_path, "trace", "show", "0a", "--directory", str(tmp_path))
    assert done.returncode == 0
    assert ("3 sent_request" in done.stdout, "not over" in done.stdout) == (True, True)
    assert done.stdout.endswith("2 line(s) of this trace cannot be read\n")


def test_data_that_is_in_a_file_which_is_gone(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE, body="y" * 100_000)
    trace = read(tmp_path, "0a11")
    assert "y" * 100_000 in written(*trace_text.shown(trace, full=True), width=200_000)
    (trace.folder / "001-raw_request.json").unlink()
    assert "its file cannot be read" in written(*trace_text.shown(trace, full=True))


def test_no_file_outside_the_folder_is_read(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    (tmp_path / "secret.json").write_text('"secret"')
    file = traces.find(tmp_path, "0a11") / "transform_trace.jsonl"
    data = json.dumps({"file": "../../secret.json", "bytes": 8})
    file.write_text(f'{{"sequence": 1, "pass": "raw_request", "data": {data}}}\n')
    trace = read(tmp_path, "0a11")
    assert trace.data(trace.passes[0]) == {"file": "../../secret.json", "bytes": 8}


def test_a_folder_without_passes(tmp_path: Path) -> None:
    (tmp_path / "2024-10-04" / "000000.000000Z-0a11").mkdir(parents=True)
    done = rotator(tmp_path, "trace", "show", "0a", "--directory", str(tmp_path))
    assert done.stdout.endswith("nothing is written of this call yet\n")
    assert "0a11" in rotator(tmp_path, "trace", "list", "--directory", str(tmp_path)).stdout


def test_two_passes_are_compared_line_by_line(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    done = rotator(tmp_path, "trace", "diff", "0a", "1", "sent_request", "--directory", str(tmp_path))
    changed = [line for line in done.stdout.splitlines() if line.startswith(("+", "-"))]
    assert changed == ["--- 1 raw_request", "+++ 3 sent_request", "-    ]", "+    ],", '+    "stream": true']
    same = rotator(tmp_path, "trace", "diff", "0a", "1", "1", "--directory", str(tmp_path))
    assert same.stdout == "both are the same\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "ff"), "no trace of a call ff... in FOLDER: `rotator trace list` shows those there are"),
        (("show", "0a"), "2 calls begin with '0a': name one in full, such as 0a11, 0a22"),
        (
            ("diff", "0a11", "1", "nonsense"),
            (
                "0a11 has no pass nonsense: name its number, or one of raw_request, built_request, "
                "sent_request, sent_response"
            ),
        ),
        (("diff", "0a11", "1", "2"), "2 built_request changed nothing and has no data: name another pass"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    play(tmp_path, "0a11", ONE)
    play(tmp_path, "0a22", ONE)
    done = rotator(tmp_path, "trace", *arguments, "--directory", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert " ".join(done.stderr.split()) == message.replace("FOLDER", str(tmp_path))


def test_an_id_is_meant_where_it_is_whole(tmp_path: Path) -> None:
    play(tmp_path, "0a", ONE)
    play(tmp_path, "0a22", ONE)
    assert traces.find(tmp_path, "0a").name.endswith("Z-0a")
    with pytest.raises(NoTrace):
        traces.find(tmp_path, "0")


def test_nothing_is_coloured_where_there_is_no_terminal(tmp_path: Path) -> None:
    play(tmp_path, "0a11", ONE)
    colours: Mapping[str, str] = {"COLORTERM": "truecolor", "TERM": "xterm-256color"}
    for arguments in (("list",), ("show", "0a"), ("diff", "0a", "1", "3")):
        done = rotator(tmp_path, "trace", *arguments, "--directory", str(tmp_path), environment=colours)
        assert "\x1b" not in done.stdout


# -- a real proxy ------------------------------------------------------------------------------------------


def test_of_a_real_proxy(tmp_path: Path) -> None:
    """Whose config is in another folder than that of its user."""
    with VendorThread() as vendor, Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        vendor.on(key=KEYS["ONE"]).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
        with client(proxy) as http:
            answer = http.post("https://api.openai.com/v1/chat/completions", content=ask("crossed-1"))
        assert answer.status_code == 200
        proxy.wait_log("spare")
        home = tmp_path / "home"
        home.mkdir()
        asked = {"HTTPS_PROXY": proxy.url}
        listed = rotator(home, "trace", "list", environment=asked).stdout
    call = listed.splitlines()[-1].split()
    assert (call[3], call[6], call[7]) == ("openai/crossed-1", "spare", "200")
    shown = rotator(tmp_path, "trace", "show", call[0][:6])
    assert "3 routing  request at proxy  openai/crossed-1" in shown.stdout
    assert (shown.returncode, *(key in shown.stdout for key in KEYS.values())) == (0, False, False)
    changed = rotator(tmp_path, "trace", "diff", call[0], "raw_request", "sent_request")
    assert '-  "target": "/v1/chat/completions"' in changed.stdout
