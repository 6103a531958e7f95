"""`rotator run`, with a real proxy and real tools."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.config.client_variables import client_variables
from tests.e2e.proxy import Proxy
from tests.preloaded import give_certificates
from tests.rotator.command import ROOT, rotator
from tests.vendor import Send, VendorThread, WaitFor, chat_stream, streamed

CALL = (
    'curl -sS https://api.openai.com/v1/chat/completions -H "authorization: Bearer sk-mine" '
    "-H 'content-type: application/json' -d '{\"model\": \"gpt-4o\"}'"
)
CONFIG = '[providers.openai]\nbase_url = "{}"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    give_certificates(tmp_path / ".mitmproxy")
    return tmp_path


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


def logs(home: Path) -> list[Path]:
    return list((home / ".local" / "state" / "rotator").glob("run-*.log"))


def awaited(true: Callable[[], bool], what: str) -> None:
    due = time.monotonic() + 30
    while not true():
        assert time.monotonic() < due, f"{what}: not within 30 s"
        time.sleep(0.02)


def is_over(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.is_file() and state.read_text().rpartition(") ")[2].startswith("Z")


def seen_by_a_tool(home: Path, **environment: str) -> dict[str, str]:
    """What its variables are, and under `health` what its proxy says of itself."""
    script = 'env -0; printf "health="; curl -sS -x "$HTTPS_PROXY" http://rotator.local/health'
    done = rotator(home, "run", "--", "sh", "-c", script, environment=environment)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.split("\0"))


def test_its_help_shows_how_it_is_used(home: Path) -> None:
    assert "rotator run [OPTIONS] [--] TOOL [ARGUMENTS]... " in rotator(home, "run", "--help").stdout


def test_a_tool_goes_through_a_proxy_of_its_own_with_nothing_else_set(
    home: Path, vendor: VendorThread
) -> None:
    (home / "rotator.toml").write_text(CONFIG.format(vendor.base_url))
    done = rotator(home, "run", "sh", "-c", f"{CALL}; exit 7")
    assert done.returncode == 7
    assert json.loads(done.stdout)["choices"]
    assert done.stderr == ""
    (request,) = vendor.requests
    assert request.credential == "sk-mine"
    (log,) = logs(home)
    assert "config: ./rotator.toml" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_its_environment_is_that_of_the_lines_to_paste_and_its_own(home: Path) -> None:
    stale = {"NO_PROXY": "*", "CURL_CA_BUNDLE": "/old", "SSL_CERT_DIR": "/old", "MINE": "kept"}
    seen = seen_by_a_tool(home, **stale)
    health = json.loads(seen["health"])
    url = f"http://127.0.0.1:{health['port']}"
    wanted = client_variables(url, health["bundle"], health["authority"])
    assert wanted.items() <= seen.items()
    assert "SSL_CERT_DIR" not in seen
    assert seen["MINE"] == "kept"
    assert not [name for name in seen if name.startswith("ROTATOR")]
    awaited(lambda: is_over(health["pid"]), "the end of the proxy after the tool")


def test_what_a_tool_leaves_running_gets_its_answer(home: Path, vendor: VendorThread) -> None:
    text = chat_stream(["Hello", " there"])
    vendor.reply(streamed(text[:2], WaitFor("more"), *map(Send, text[2:])))
    (home / "rotator.toml").write_text(CONFIG.format(vendor.base_url))
    asked = CALL.replace('"gpt-4o"', '"gpt-4o", "stream": true')
    left = f"{asked} -N >answer 2>&1 & until grep -q Hello answer; do sleep 0.02; done"
    assert rotator(home, "run", "sh", "-c", left).returncode == 0
    (log,) = logs(home)
    awaited(lambda: "stopping: what is under way" in log.read_text(), "the end of the proxy")
    vendor.release("more")
    awaited(lambda: "[DONE]" in (home / "answer").read_text(), "the end of the answer")


def test_one_that_is_up_is_joined_unless_another_config_is_found_here(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    with Proxy(other) as proxy:
        pid = proxy.process.pid
        pasted = {"HTTPS_PROXY": proxy.url}
        joined = seen_by_a_tool(home, **pasted)
        assert (joined["HTTPS_PROXY"], json.loads(joined["health"])["pid"]) == (proxy.url, pid)
        assert joined["SSL_CERT_FILE"] == str(proxy.confdir / "rotator-ca-bundle.pem")
        assert not logs(home)
        (home / "rotator.toml").write_text("")
        assert json.loads(seen_by_a_tool(home, **pasted)["health"])["pid"] != pid
        done = rotator(home, "run", "-p", str(proxy.port), "--", "printenv", "https_proxy")
        assert done.stdout.strip() == proxy.url, "a port that is named is joined"


def test_a_dead_proxy_whose_lines_are_pasted_is_not_gone_through(home: Path, vendor: VendorThread) -> None:
    (home / "rotator.toml").write_text(CONFIG.format(vendor.base_url))
    bundle = str(home / ".mitmproxy" / "rotator-ca-bundle.pem")
    pasted = client_variables("http://127.0.0.1:9", bundle, bundle)
    done = rotator(home, "run", "sh", "-c", CALL, environment=pasted)
    assert json.loads(done.stdout)["choices"], done.stderr
    (log,) = logs(home)
    assert "HTTPS_PROXY" not in log.read_text()


def test_a_company_proxy_is_left_to_ours(home: Path) -> None:
    rotator(home, "run", "true", environment={"HTTPS_PROXY": "http://proxy.example.com:3128"})
    (log,) = logs(home)
    assert "https hosts are reached through proxy.example.com:3128" in log.read_text()


def test_what_a_config_has_wrong_is_shown_plainly(home: Path) -> None:
    (home / "rotator.toml").write_text("[retry]\nmax_atempts = 3\n")
    done = rotator(home, "run", "echo", "ran")
    (log,) = logs(home)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.splitlines() == [
        f"rotator: the proxy did not start; its log, {log}, ends with:",
        f"  {home}/rotator.toml: retry.max_atempts: unknown name: did you mean max_attempts?",
    ]


@pytest.mark.parametrize(
    ("tool", "status", "said"),
    [("nosuch", 127, "nosuch: command not found"), ("./data", 126, "./data: is not executable")],
)
def test_what_is_no_command_starts_no_proxy(home: Path, tool: str, status: int, said: str) -> None:
    (home / "data").touch()
    done = rotator(home, "run", tool, "-p", "x")
    assert (done.returncode, done.stderr) == (status, f"rotator: {said}\n")
    assert not logs(home)


def test_old_logs_are_removed(home: Path) -> None:
    folder = home / ".local" / "state" / "rotator"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"run-0{number}.log").touch()
        os.utime(folder / f"run-0{number}.log", (number, number))
    rotator(home, "run", "true")
    left = {file.name for file in logs(home)}
    assert len(left) == 20
    assert {"run-029.log", "run-011.log"} < left
    assert "run-010.log" not in left


def test_a_base_url_that_is_a_rotator_is_warned_of(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Proxy(tmp_path / "other") as proxy:
        variables = {
            "ANTHROPIC_BASE_URL": f"{proxy.url}/v1",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "ROTATOR__PROVIDERS__OPENAI__BASE_URL": f"{proxy.url}/v1",
        }
        done = rotator(home, "run", "true", environment={**variables, "HTTPS_PROXY": proxy.url})
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"rotator: ANTHROPIC_BASE_URL={proxy.url}/v1 is the address of a rotator")
    assert line.endswith("`unset ANTHROPIC_BASE_URL`")


def test_a_page_is_shown_with_the_token_that_it_wants(home: Path) -> None:
    done = rotator(home, "run", "--web", "--", "true")
    page = re.search(r"the calls are shown at (http://127.0.0.1:\d+/\?token=\w+)\n", done.stderr)
    assert page, done.stderr


def test_the_password_of_a_proxy_is_not_in_a_warning(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Proxy(tmp_path / "other", options=("--set", "proxyauth=me:open-sesame")) as proxy:
        url = f"http://me:open-sesame@127.0.0.1:{proxy.port}"
        variables = {"HTTPS_PROXY": url, "OPENAI_BASE_URL": f"{url}/v1"}
        done = rotator(home, "run", "true", environment=variables)
    assert f"OPENAI_BASE_URL={proxy.url}/v1 is the address of a rotator" in done.stderr
    assert "sesame" not in done.stderr


def test_a_port_that_another_program_has_is_said_plainly(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = rotator(home, "run", "-p", str(port), "--", "true")
    assert (
        done.stderr == f"rotator: port {port} is in use by another program: choose another one with -p PORT\n"
    )
    assert done.returncode == 125
    assert not logs(home)


def test_a_folder_that_is_gone_is_said_plainly(home: Path) -> None:
    done = in_a_shell(home, "mkdir gone && cd gone && rmdir ../gone && {rotator} run true")
    assert done.stderr == "rotator: the current folder is gone: change to another one (cd ~)\n"


def in_a_shell(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script.format(rotator=f"{sys.executable} -m rotator")],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_tool_runs_whatever_its_caller_has_closed(home: Path, closed: str) -> None:
    script = (
        f"{{rotator}} run sh -c 'curl -sS -x $HTTPS_PROXY -o health http://rotator.local/health' {closed}"
    )
    done = in_a_shell(home, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((home / "health").read_text())["status"] == "ok"


def test_nobody_else_can_write_what_is_made_whatever_the_umask_is(tmp_path: Path) -> None:
    """With no authority as yet. Whoever could write to the bundle would decide whom tools trust."""
    in_a_shell(tmp_path, "umask 000; {rotator} run true; {rotator} init")
    made = [each for each in tmp_path.rglob("*") if not each.is_symlink()]
    assert {"rotator-ca-bundle.pem", "mitmproxy-ca.pem", "usage.sqlite", "rotator.toml"} <= {
        each.name for each in made
    }
    assert [each for each in made if each.stat().st_mode & 0o022] == []


# --- the process


def began(home: Path, *tool: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rotator", "run", "--", *tool],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def proxy_of(pid: int) -> int:
    """The proxy that ends with a process. 0: there is none."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"--while\0{pid}\0" in entry.read_text(errors="replace"):
                return int(entry.parent.name)
        except OSError:
            continue
    return 0


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("ready", [False, True], ids=["while it starts", "when it serves"])
def test_a_proxy_does_not_stay_where_we_are_killed(home: Path, ready: bool) -> None:
    process = began(home, "sh", "-c", "echo ready; exec sleep 60")
    try:
        if ready:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        awaited(lambda: bool(proxy_of(process.pid)), "a proxy")
    finally:
        process.kill()
    with process:
        assert process.wait(10) == -signal.SIGKILL
    awaited(lambda: not proxy_of(process.pid), "the end of the proxy")


_FROM_A_TERMINAL = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTSTP,
    signal.SIGPIPE,
)
OF_A_TERMINAL = sum(1 << number - 1 for number in _FROM_A_TERMINAL)
"""As a mask of /proc."""


def test_the_tool_is_the_process_itself(home: Path) -> None:
    # By the shell alone: while it waits for a program all its signals are blocked.
    masks = 'while read line; do case $line in Sig[BI]*) echo "$line";; esac; done </proc/$$/status'
    process = began(home, "sh", "-c", f"echo $$; {masks}; kill -TERM $$")
    with process:
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[0] == str(process.pid)
    assert process.returncode == -signal.SIGTERM
    if sys.platform == "linux":
        found = [int(mask, 16) for mask in re.findall(r"^Sig(?:Blk|Ign):\s*(\w+)$", said, re.MULTILINE)]
        assert [mask & OF_A_TERMINAL for mask in found] == [0, 0], "no signal is blocked or ignored"


def test_keys_that_are_pressed_reach_the_tool_alone(home: Path) -> None:
    """Ctrl-C on a terminal: the tool handles it, goes on, and its proxy still serves."""
    script = (
        "trap 'echo interrupted' INT; stty -echo; echo ready; read line; echo \"read $line\"; "
        'curl -sS -o /dev/null -w "%{http_code}" -x "$HTTPS_PROXY" http://rotator.local/health; exit 5'
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "rotator", "run", "bash", "-c", script]
        os.execve(line[0], line, environment)
    shown = read_until(terminal, b"ready\r\n")
    os.write(terminal, b"\x03")
    shown += read_until(terminal, b"interrupted\r\n")
    os.write(terminal, b"a line\n")
    shown += read_until(terminal, b"200")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5
    assert b"read a line" in shown


def read_until(terminal: int, text: bytes) -> bytes:
    found, until = b"", time.monotonic() + 60
    while text not in found:
        shows, _, _ = select.select([terminal], [], [], max(0.0, until - time.monotonic()))
        assert shows, found
        found += os.read(terminal, 1000)
    return found
