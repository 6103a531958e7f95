"""scripts/agents without the agents: its table, its fake answers, its verdicts, and a run with a stand-in."""

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.test import tflow

from addons.config.settings import known_clients
from rewrite.continuation import continuation
from scripts.agentkit import __main__, faults, install, provider, refuse, report
from scripts.agentkit.install import NotInstalled, Package
from scripts.agentkit.provider import CALL_ID, FINAL, HALF, MARK, REST, Script, ToolCall
from scripts.agentkit.run import refusal, run
from scripts.agentkit.scenarios import (
    AGENTS,
    CLIENTS,
    CONTINUE,
    OTHER_KEY,
    OWN,
    POOL_KEY,
    PROMPT,
    ROWS,
    THIRD_KEY,
    Agent,
    Row,
    chosen,
)
from scripts.agentkit.verdict import Ran, Result, unsaid, verdict
from tests.oracle import judges
from tests.vendor import SPEECHES, Answer, Received, Reply, Reset, Send, Speech, whole

CLAUDE = AGENTS[0]
FAULTS = ("stall", "429", "cut-text", "cut-tool", "cut-after-tool")
SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}}


def received(
    path: str, body: object = None, *, method: str = "POST", key: str = "", **headers: str
) -> Received:
    """A request as the fake provider records it."""
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Received(1, 1, method, path, pairs, json.dumps(body).encode() if body else b"", key)


def body_of(answer: Answer) -> bytes:
    assert isinstance(answer, Reply)
    return b"".join(step.data for step in answer.steps if isinstance(step, Send))


def events(answer: Answer) -> list[Mapping[str, Any]]:
    """The JSON of every event; [DONE] is left out."""
    lines = body_of(answer).decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def escaped(text: str) -> bytes:
    """As it stands in a string of JSON."""
    return json.dumps(text)[1:-1].encode()


def row_of(agent: str, scenario: str) -> Row:
    (row,) = chosen(ROWS, [agent], [scenario])
    return row


# -- the table -----------------------------------------------------------------------------------------------


def test_every_agent_has_a_text_and_a_tool_turn_with_its_own_provider() -> None:
    for agent in AGENTS:
        rows = [row for row in ROWS if row.agent is agent and row.scenario in ("one-shot", "tool")]
        assert [(row.scenario, row.script.tool) for row in rows] == [("one-shot", None), ("tool", agent.tool)]


def test_everybody_is_run_by_the_command() -> None:
    rows = chosen(ROWS, (), ["run"])
    assert [row.agent for row in rows] == [*AGENTS, *CLIENTS]
    assert all(row.by_command and not row.keys for row in rows)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_every_agent_has_each_fault_once(agent: Agent) -> None:
    rows = [row for row in chosen(ROWS, [agent.name], FAULTS) if row.script.tool is agent.tool]
    assert {row.scenario: len(row.script.first) + len(row.script.last) for row in rows} == dict.fromkeys(
        FAULTS, 1
    )
    assert [row.scenario for row in rows if row.expected.more_keys] == ["stall", "429"]


@pytest.mark.parametrize("row", chosen(ROWS, (), ["cut-text"]), ids=lambda row: row.name)
def test_a_cut_text_becomes_what_the_clients_facts_say(row: Row) -> None:
    (facts,) = [facts for facts in known_clients() if facts.name.startswith(row.agent.package.program)]
    words = {"error": "ended with an error", "continue": "continued 1 time"}
    assert row.said == words[facts.cut_text]
    assert row.expected.asked == ((HALF, CONTINUE) if facts.cut_text == "continue" else ())


def test_what_a_continuation_is_known_by_is_asked_for() -> None:
    assert CONTINUE in continuation._CONTINUE


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_configs_send_every_provider_to_the_fake_one(row: Row) -> None:
    config = tomllib.loads(row.config_for("https://127.0.0.1:1234"))
    assert {each["base_url"] for each in config["providers"].values()} == {"https://127.0.0.1:1234"}


@pytest.mark.parametrize("row", chosen(ROWS, (), ["refuse*", "bridge*"]), ids=lambda row: row.name)
def test_a_websockets_row_can_tell_whether_there_was_one(row: Row) -> None:
    bridged = tomllib.loads(row.config_for("https://127.0.0.1:1"))["providers"]["openai"].get("websocket")
    assert (bridged, row.said) in [(None, "<< 426 Upgrade Required"), ("bridge", "a turn was prepared")]


def test_faults_come_first() -> None:
    faults = {row.scenario: row.script.first for row in chosen(ROWS, ["codex"], ["bridge*"])}
    assert {name for name, first in faults.items() if not first} == {
        "bridge",
        "bridge-tool",
        "bridge-route-anthropic-tool",
    }
    assert all(len(first) == 1 for first in faults.values() if first)


@pytest.mark.parametrize("row", chosen(ROWS, (), ["route-*"]), ids=lambda row: row.name)
def test_a_routes_target_has_a_key_of_its_own(row: Row) -> None:
    config = tomllib.loads(row.config_for("https://127.0.0.1:1234"))
    (route,) = config["routes"]
    target, _, model = route["to"][0].partition("/")
    assert route["match"] == {"provider": row.agent.provider}
    assert config["providers"][target]["credentials"] == [{"name": "pool", "key": "env:POOL_KEY"}]
    assert row.keys == {"POOL_KEY": POOL_KEY}
    assert (row.expected.key, row.expected.model) == (POOL_KEY, model)
    assert row.agent.protocol not in row.expected.protocols


def test_what_success_is_known_by_stands_nowhere_in_the_question() -> None:
    said = [PROMPT, *(repr(agent) for agent in AGENTS)]
    assert not [text for text in said if MARK in text or FINAL in text]


@pytest.mark.parametrize(
    ("agents", "scenarios", "names"),
    [
        (["claude"], ["tool"], ["claude-tool"]),
        (["codex"], ["route-*"], ["codex-route-anthropic", "codex-route-anthropic-tool"]),
        (["opencode-*"], ["tool"], ["opencode-openai-tool", "opencode-gemini-tool"]),
        (["claude", "codex"], ["one-shot"], ["claude-one-shot", "codex-one-shot"]),
        (["nobody"], [], []),
        ([], [], [row.name for row in ROWS]),
    ],
)
def test_rows_are_chosen_by_globs(agents: list[str], scenarios: list[str], names: list[str]) -> None:
    assert [row.name for row in chosen(ROWS, agents, scenarios)] == names


# -- the fake provider's answers -----------------------------------------------------------------------------

CHAT_TOOL = {"type": "function", "function": {"name": "read", "parameters": SCHEMA}}
GENERATIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "openai_chat": ("/v1/chat/completions", {"stream": True, "model": "m", "tools": [CHAT_TOOL]}),
    "anthropic_messages": (
        "/v1/messages?beta=true",
        {"stream": True, "model": "m", "tools": [{"name": "read", "input_schema": SCHEMA}]},
    ),
    "openai_responses": (
        "/v1/responses",
        {
            "stream": True,
            "model": "m",
            "tools": [{"type": "function", "name": "read", "parameters": SCHEMA}],
        },
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"tools": [{"functionDeclarations": [{"name": "read", "parametersJsonSchema": SCHEMA}]}]},
    ),
}
READ = Script(ToolCall("read", {"path": "note.txt"}))
protocols = pytest.mark.parametrize("protocol", GENERATIONS)


def called(protocol: str, answer: Answer) -> tuple[str, Any]:
    """Name and arguments of the tool call in a stream."""
    said = events(answer)
    match protocol:
        case "openai_chat":
            calls = [call for each in said for call in each["choices"][0]["delta"].get("tool_calls", ())]
            assert calls[0]["id"] == CALL_ID
            texts = [call["function"]["arguments"] for call in calls]
            return calls[0]["function"]["name"], json.loads("".join(texts))
        case "anthropic_messages":
            (block,) = [each["content_block"] for each in said if each["type"] == "content_block_start"]
            assert block["id"] == CALL_ID
            deltas = [each["delta"] for each in said if each["type"] == "content_block_delta"]
            return block["name"], json.loads("".join(delta["partial_json"] for delta in deltas))
        case "openai_responses":
            (item,) = said[-1]["response"]["output"]
            assert (item["type"], item["call_id"]) == ("function_call", CALL_ID)
            return item["name"], json.loads(item["arguments"])
        case _:
            call = said[0]["candidates"][0]["content"]["parts"][0]["functionCall"]
            assert call["id"] == CALL_ID
            return call["name"], call["args"]


@protocols
def test_a_turn_gets_the_tool_call(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    answer = provider.answer(READ, received(path, body))
    assert called(protocol, answer) == ("read", {"path": "note.txt"})
    assert FINAL.encode() not in body_of(answer)


@protocols
def test_a_turn_with_the_tools_result_gets_the_final_text(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    answer = provider.answer(READ, received(path, {**body, "said": [CALL_ID, {"output": f"1: {MARK}\n"}]}))
    assert FINAL.encode() in body_of(answer)


def test_a_sub_agent_says_what_the_tool_found() -> None:
    script = row_of("claude", "pool-sub-agent").script
    main, sub = ({"model": "m", "tools": [{"name": name}]} for name in ("Agent", "Bash"))
    asked = [provider.answer(script, received("/v1/messages", body)) for body in (main, sub)]
    assert [MARK.encode() in body_of(answer) for answer in asked] == [False, True]
    assert called("anthropic_messages", asked[0])[0] == "Agent"


@protocols
def test_a_tool_without_a_result_ends_the_turn(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    answer = body_of(provider.answer(READ, received(path, {**body, "said": [CALL_ID, "denied"]})))
    assert b"The tool has returned nothing." in answer
    assert FINAL.encode() not in answer


@protocols
def test_a_turn_without_a_tool_in_its_script_gets_the_final_text(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    assert FINAL.encode() in body_of(provider.answer(Script(), received(path, body)))


@protocols
def test_a_turn_that_continues_from_half_of_the_text_gets_the_remainder(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    answer = body_of(provider.answer(READ, received(path, {**body, "said": [CALL_ID, MARK, HALF]})))
    assert REST.encode() in answer
    assert HALF.encode() not in answer


@protocols
def test_a_fault_comes_once_and_to_a_turn_alone(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    first, last = whole(b"{}", 429), whole(b"{}", 500)
    plan = provider.Plan(replace(READ, first=(first,), last=(last,)))
    title = received(path, {**body, "tools": []})
    turn, result = received(path, body), received(path, {**body, "said": [CALL_ID, MARK]})
    assert b"A short title" in body_of(plan(title))
    assert plan(turn) is first
    assert called(protocol, plan(turn)) == ("read", {"path": "note.txt"})
    assert plan(result) is last
    assert FINAL.encode() in body_of(plan(result))


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_a_cut_call_lacks_its_end_alone(agent: Agent) -> None:
    answer = faults.cut_call(SPEECHES[agent.protocol], agent.tool)
    assert isinstance(answer, Reply)
    assert answer.steps[-1] == Reset()
    text = agent.tool.text or json.dumps(agent.tool.arguments, separators=(",", ":"))
    begun = escaped(text if agent.tool.text else text[:-2])
    assert (begun in body_of(answer)) is (agent.protocol != "gemini_generate")
    assert b"functionCall" in body_of(answer) or begun in body_of(answer)
    assert CALL_ID.encode() not in body_of(answer)
    judged = judges()[agent.protocol](body_of(answer))
    assert not judged["terminal"]


CALL_ENDS = {
    "anthropic_messages": b"content_block_stop",
    "openai_responses": b'"status":"completed"',
    "gemini_generate": b"functionCall",
}


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_a_call_that_is_whole_is_the_last_that_comes(agent: Agent) -> None:
    answer = faults.cut_after_call(SPEECHES[agent.protocol], agent.tool)
    assert isinstance(answer, Reply)
    *_, last, cut = answer.steps
    assert (isinstance(last, Send), cut) == (True, Reset())
    ending = body_of(replace(answer, steps=(last,)))
    assert CALL_ENDS[agent.protocol] in ending
    assert not judges()[agent.protocol](body_of(answer))["terminal"]


@pytest.mark.parametrize("speech", [SPEECHES[agent.protocol] for agent in AGENTS])
def test_a_cut_text_is_half_of_the_final_one(speech: Speech) -> None:
    answer = faults.cut_text(speech)
    assert isinstance(answer, Reply)
    assert answer.steps[-1] == Reset()
    assert HALF[4:].encode() in body_of(answer)
    assert REST.encode() not in body_of(answer)


@protocols
def test_a_call_that_declares_no_tools_gets_a_title(protocol: str) -> None:
    path, body = GENERATIONS[protocol]
    answer = body_of(provider.answer(READ, received(path, {**body, "tools": []})))
    assert b"A short title" in answer
    assert FINAL.encode() not in answer


@protocols
@pytest.mark.parametrize("script", [Script(), READ], ids=["text", "tool"])
def test_streams_are_well_formed(protocol: str, script: Script) -> None:
    path, body = GENERATIONS[protocol]
    judged = judges()[protocol](body_of(provider.answer(script, received(path, body))))
    assert (judged["terminal"], judged["error"], judged["violations"]) == (True, None, [])


def test_a_custom_tool_is_called_with_its_text() -> None:
    script = Script(ToolCall("exec", text="cat()", namespace="functions"))
    tools = {"type": "additional_tools", "tools": [{"name": "functions", "tools": [{"name": "exec"}]}]}
    asked = received("/v1/responses", {"stream": True, "input": [tools]})
    said = events(provider.answer(script, asked))
    (item,) = said[-1]["response"]["output"]
    assert item == {
        "type": "custom_tool_call",
        "id": item["id"],
        "call_id": CALL_ID,
        "name": "exec",
        "namespace": "functions",
        "input": "cat()",
        "status": "completed",
    }


def test_a_custom_tool_that_a_route_made_a_function_is_called_as_declared() -> None:
    script = Script(ToolCall("exec", text="cat()"))
    schema = {"type": "object", "properties": {"source": {"type": "string"}}}
    body = {"stream": True, "tools": [{"name": "functions__exec", "input_schema": schema}]}
    answer = provider.answer(script, received("/v1/messages", body))
    assert called("anthropic_messages", answer) == ("functions__exec", {"source": "cat()"})


def test_whole_answers_have_the_text_in_their_place() -> None:
    tools = GENERATIONS["openai_responses"][1]["tools"]
    response = json.loads(
        body_of(provider.answer(Script(), received("/v1/responses", {"model": "m", "tools": tools})))
    )
    assert response["output"][0]["content"][0]["text"] == FINAL
    assert response["status"] == "completed"


def test_a_classifier_gets_a_grade() -> None:
    body = {"generationConfig": {"responseMimeType": "application/json"}}
    answer = json.loads(
        body_of(provider.answer(Script(), received("/v1beta/models/m:generateContent", body)))
    )
    grade = json.loads(answer["candidates"][0]["content"]["parts"][0]["text"])
    assert isinstance(grade["complexity_score"], int)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (received("/v1/responses", method="GET", upgrade="websocket"), 426),
        (received("/v1/responses", method="GET"), 404),
        (received("/api/event_logging/v2/batch", {"events": []}), 404),
        (received("/v1/messages/count_tokens", {"messages": []}), 404),
        (received("/v1/messages", ["no", "object"]), 404),
        (received("/v1/messages"), 404),
    ],
)
def test_anything_else_is_harmless(asked: Received, status: int) -> None:
    answer = provider.answer(READ, asked)
    assert isinstance(answer, Reply)
    assert answer.status == status


# -- the script for mitmdump ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", [refuse.http_connect, refuse.requestheaders])
@pytest.mark.parametrize(
    ("host", "refused"),
    [("api.openai.com", False), ("generativelanguage.googleapis.com", False), ("ab.chatgpt.com", True)],
)
def test_other_hosts_are_refused(hook: Any, host: str, refused: bool) -> None:
    flow = tflow.tflow()
    flow.request.host = flow.request.headers["host"] = host
    hook(flow)
    assert (flow.response is not None and flow.response.status_code == 403) is refused


# -- verdicts ------------------------------------------------------------------------------------------------

FINE = Ran(f"{FINAL}\n", "", 0, 1.0)
ONE_SHOT, TOOL = row_of("claude", "one-shot"), row_of("claude", "tool")
ROUTED = row_of("claude", "route-openai")
ASKED = received("/v1/messages", {"model": "claude"}, key=CLAUDE.key)
RESULT = received("/v1/messages", {"model": "claude", "messages": [MARK]}, key=CLAUDE.key)
LIMITED, CUT = row_of("claude", "429"), row_of("claude", "cut-text")
KEPT = row_of("claude", "pool")


def with_key(key: str, said: str = "") -> Received:
    return received("/v1/messages", {"model": "claude", "messages": [MARK, said]}, key=key)


def turn(key: str) -> Received:
    body = {"model": "claude", "tools": [{"name": "Bash"}], "messages": [MARK]}
    return received("/v1/messages", body, key=key)


TELEMETRY = received("/api/event_logging/v2/batch", {"events": []})


@pytest.mark.parametrize(
    ("row", "ran", "requests", "reason"),
    [
        (ONE_SHOT, FINE, [TELEMETRY, ASKED], ""),
        (TOOL, FINE, [ASKED, RESULT], ""),
        (TOOL, FINE, [ASKED], "the tool's result did not reach the provider"),
        (ONE_SHOT, FINE, [TELEMETRY], "no generation call reached the provider"),
        (ONE_SHOT, replace(FINE, stdout="Hello\n"), [ASKED], "the answer is not on stdout: Hello"),
        (ONE_SHOT, replace(FINE, status=1, stderr="a\nb\n"), [ASKED], "exit status 1: b"),
        (ONE_SHOT, replace(FINE, status=1, stdout="c\n"), [], "exit status 1: c"),
        (ONE_SHOT, Ran("", "", None, 90.0), [ASKED], "killed after 90 s: it said nothing"),
        (TOOL, Ran("", "late", None, 90.0), [ASKED], "killed after 90 s: late"),
        (
            ONE_SHOT,
            FINE,
            [received("/v1/messages", {"model": "claude"}, key="sk-other")],
            f"the provider got the credential 'sk-other', not '{CLAUDE.key}'",
        ),
        (
            ROUTED,
            FINE,
            [ASKED],
            "the provider was called in anthropic_messages, not in openai_chat or openai_responses",
        ),
        (
            ROUTED,
            FINE,
            [received("/v1/responses", {"model": "claude"}, key=POOL_KEY)],
            "the provider was asked for claude, not for gpt-test",
        ),
        (ROUTED, FINE, [received("/v1/responses", {"model": "gpt-test"}, key=POOL_KEY)], ""),
        (TOOL, FINE, [ASKED, with_key(CLAUDE.key, MARK)], "the tool ran 2 times"),
        (
            TOOL,
            replace(FINE, stdout=f"{HALF}\n{FINAL}\n"),
            [RESULT],
            "the answer is on stdout 2 times, whole or in part",
        ),
        (LIMITED, FINE, [with_key(POOL_KEY)], f"the provider never got the credential '{OTHER_KEY}'"),
        (LIMITED, FINE, [with_key(POOL_KEY), with_key(OTHER_KEY)], ""),
        (CUT, FINE, [RESULT, with_key(CLAUDE.key, HALF)], f"no request has {HALF!r} and {CONTINUE!r}"),
        (CUT, FINE, [RESULT, with_key(CLAUDE.key, f"{HALF} {CONTINUE}")], ""),
        (KEPT, FINE, [with_key(POOL_KEY), turn(THIRD_KEY), turn(THIRD_KEY)], ""),
        (KEPT, FINE, [turn(POOL_KEY), turn(OTHER_KEY)], "the turns of the agent came with 2 keys"),
    ],
)
def test_the_first_thing_wrong_is_the_verdict(
    row: Row, ran: Ran, requests: list[Received], reason: str
) -> None:
    assert verdict(row, ran, requests) == reason


def test_what_the_proxy_has_to_say() -> None:
    row = row_of("codex", "refuse")
    assert unsaid(row, "GET /v1/responses\n  << 426 Upgrade Required 150b\n") == ""
    assert unsaid(row, "GET /v1/responses\n") == "the proxy's log does not say '<< 426 Upgrade Required'"
    assert unsaid(ONE_SHOT, "") == ""
    assert unsaid(LIMITED, 'call=1 attempts="one:rejected(429 rate) two:completed"\n') == ""
    assert unsaid(LIMITED, 'call=1 attempts="one:rejected(429 rate)"\n') != ""


def test_a_refused_config_is_quoted() -> None:
    log = "[1] Loading script\n[2] /x/rotator.toml: routes[0].to: not here\n[3] /x/rotator.toml: a: bad\n"
    assert refusal(log, Path("/x/rotator.toml")) == "routes[0].to: not here; a: bad"


def test_the_matrix_has_a_line_for_each_agent_and_the_reasons_under_it() -> None:
    results = [
        Result("claude", "one-shot", "", 1.26),
        Result("claude", "tool", "exit status 1: b", 0.5),
        Result("codex", "one-shot", "not installed: no npm"),
    ]
    assert report.matrix(results, {"claude": "2.1"}).splitlines() == [
        "agent   version  one-shot  tool",
        "claude  2.1      ok 1.3 s  failed 0.5 s",
        "codex            failed    -",
        "",
        "claude tool: failed 0.5 s (exit status 1: b)",
        "codex one-shot: failed (not installed: no npm)",
    ]


def test_a_matrix_without_failures_ends_with_its_last_line() -> None:
    assert report.matrix([Result("claude", "tool", "", 1.0)], {}).splitlines()[1:] == [
        "claude           ok 1.0 s"
    ]


# -- a run with a stand-in for an agent ----------------------------------------------------------------------

# Knows what an agent knows: the proxy, the bundle and its key, by environment variables alone.
STAND_IN = """
import os, pathlib, sys, httpx
if sys.argv[1] == "--version":
    raise SystemExit(print("stand-in 1.0"))
print("asked:", sys.argv[-1])
headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"]}
def ask(*said):
    body = {"model": "m", "stream": True, "max_tokens": 9, "tools": [{"name": "Bash"}]}
    body["messages"] = [{"role": "user", "content": text} for text in said]
    return http.post("https://api.anthropic.com/v1/messages", headers=headers, json=body).text
def note():
    return pathlib.Path("note.txt").read_text()
with httpx.Client() as http:
    answer = ask("go")
    if "tool_use" in answer:
        answer = ask("go", note())
    print(answer)
    try:
        http.get("https://elsewhere.test/")
    except httpx.TransportError as refused:
        print("elsewhere:", refused)
"""
# Nobody ever writes what it reads.
HANGING = "echo $$ >&2; mkfifo never; read -r line <never"


def program(folder: Path, text: str) -> Path:
    """A command that runs a Python program."""
    (folder / "stand_in.py").write_text(text)
    return command(folder, f'exec "{sys.executable}" "{folder}/stand_in.py" "$@"')


def command(folder: Path, text: str) -> Path:
    """A command that runs lines of shell."""
    file = folder / "stand-in"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("row", [ONE_SHOT, TOOL, LIMITED], ids=lambda row: row.scenario)
def test_a_run_is_a_success(row: Row, tmp_path: Path, workspace: Path) -> None:
    agent = replace(row.agent, arguments=())
    result = run(replace(row, agent=agent), program(tmp_path, STAND_IN), workspace)
    said = (workspace / "stdout").read_text()
    assert (result.reason, result.seconds is not None) == ("", True), (workspace / "stderr").read_text()
    assert f"asked: {PROMPT}" in said
    assert "elsewhere: 403" in said
    assert "call=" in (workspace / "proxy.log").read_text()
    asked = json.loads((workspace / "requests.json").read_text())
    assert len(asked) == 1 + (row.script.tool is not None) + len(row.script.first)


def test_a_run_by_the_command_has_a_proxy_of_its_own(tmp_path: Path, workspace: Path) -> None:
    row = row_of("claude", "run")
    agent = replace(row.agent, arguments=())
    result = run(replace(row, agent=agent), program(tmp_path, STAND_IN), workspace)
    said = (workspace / "stdout").read_text()
    assert (result.reason, result.seconds is not None) == ("", True), (workspace / "stderr").read_text()
    assert "elsewhere: " in said, "nothing is reached but the fake provider"
    assert "call=" in (workspace / "proxy.log").read_text()


def test_an_agent_that_is_late_is_killed(tmp_path: Path, workspace: Path) -> None:
    result = run(ONE_SHOT, command(tmp_path, HANGING), workspace, patience=2.0)
    assert result.reason.startswith("killed after ")
    with pytest.raises(ProcessLookupError):
        os.kill(int(result.reason.rpartition(" ")[2]), 0)


def test_a_config_that_is_refused_fails_the_row(tmp_path: Path, workspace: Path) -> None:
    row = replace(ONE_SHOT, config=OWN["anthropic"] + 'nonsense = "$vendor"\n')
    result = run(row, program(tmp_path, STAND_IN), workspace)
    assert result.reason.startswith("config refused: providers.anthropic.nonsense: ")
    assert result.seconds is None


# -- installing ----------------------------------------------------------------------------------------------

PACKAGE = Package("@scope/thing", "1.2.3", "thing")
# Does what npm does, as far as we look at it.
NPM = """
import json, pathlib, sys
place = pathlib.Path(sys.argv[sys.argv.index("--prefix") + 1]) / "node_modules"
name, _, version = sys.argv[-1].rpartition("@")
(place / name).mkdir(parents=True)
(place / name / "package.json").write_text(json.dumps({"version": version}))
(place / ".bin").mkdir()
command = place / ".bin" / "thing"
command.write_text("#!/bin/sh\\necho warned >&2; echo thing 1.2.3\\n")
command.chmod(0o755)
"""
FAILING = "import sys; sys.exit('npm warn old\\nnpm error code E404\\nnpm error 404')"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is on PATH, with nothing in it yet; agents are installed beside it."""
    shims = tmp_path / "shims"
    shims.mkdir()
    monkeypatch.setenv("PATH", str(shims))
    monkeypatch.setenv("ROTATOR_AGENTS", str(tmp_path / "agents"))
    return shims


def test_an_agent_is_installed_and_says_its_version(registry: Path) -> None:
    program(registry, NPM).rename(registry / "npm")
    assert not install.installed(PACKAGE)
    install.install(PACKAGE)
    assert install.installed(PACKAGE)
    assert not install.installed(replace(PACKAGE, version="1.2.4"))
    assert install.said_version(PACKAGE) == "thing 1.2.3"


def test_a_package_of_pypi_is_known_by_its_version(registry: Path) -> None:
    package = Package("a-thing", "1.2.3", "thing", install.Source.PYPI)
    lies = install.folder() / "thing" / "lib" / "python3.12" / "site-packages" / "a_thing-1.2.3.dist-info"
    assert not install.installed(package)
    lies.mkdir(parents=True)
    assert install.installed(package)
    assert not install.installed(replace(package, version="1.2.4"))


def test_what_is_installed_otherwise_is_not_installed_here(registry: Path) -> None:
    package = replace(PACKAGE, source=install.Source.PATH)
    assert not install.installed(package)
    with pytest.raises(NotInstalled, match="thing is not there"):
        install.install(package)
    program(registry, "").rename(registry / "thing")
    assert install.installed(package)


def test_npms_reason_is_reported(registry: Path) -> None:
    program(registry, FAILING).rename(registry / "npm")
    with pytest.raises(NotInstalled, match=r"^npm error code E404 \(see .*thing\.log\)$"):
        install.install(PACKAGE)


def test_without_npm_it_says_what_to_install(registry: Path) -> None:
    with pytest.raises(NotInstalled, match="npm is not on PATH"):
        install.install(PACKAGE)


def test_an_agent_that_does_not_run_is_not_installed(registry: Path) -> None:
    with pytest.raises(NotInstalled, match="thing does not run"):
        install.said_version(PACKAGE)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"ROTATOR_AGENTS": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/rotator/agents"),
        ({"HOME": "/h"}, "/h/.cache/rotator/agents"),
    ],
)
def test_agents_lie_in_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], place: str
) -> None:
    for name in ("ROTATOR_AGENTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert install.folder() == Path(place)


# -- the command ---------------------------------------------------------------------------------------------


def test_what_would_be_run_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--list", "--only", "gemini", "--scenario", "one-shot", "--scenario", "tool"]) == 0
    assert capsys.readouterr().out == "gemini one-shot\ngemini tool\n"


def test_a_choice_of_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--only", "nobody"]) == 2
    assert "--list" in capsys.readouterr().err


def test_rows_of_an_agent_that_is_missing_fail(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--only", "gemini", "--scenario", "tool"]) == 1
    assert "gemini tool: failed (not installed: npm is not on PATH" in capsys.readouterr().out


def test_rows_are_run_and_their_files_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROTATOR_AGENTS", str(tmp_path / "agents"))
    modules = tmp_path / "agents" / "claude" / "node_modules"
    manifest = modules / CLAUDE.package.name / "package.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"version": CLAUDE.package.version}))
    (modules / ".bin").mkdir()
    program(tmp_path, STAND_IN).rename(modules / ".bin" / "claude")
    kept = tmp_path / "kept"
    assert __main__.main(["--only", "claude", "--scenario", "tool", "--keep", str(kept)]) == 0
    assert "claude  stand-in 1.0  ok " in capsys.readouterr().out
    assert FINAL in (kept / "claude-tool" / "stdout").read_text()
