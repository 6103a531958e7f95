"""The scripts, run as a person runs them: in a checkout whose path has a space, with an empty HOME."""

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from addons.config.client_variables import client_variables
from scripts import sdks

ROOT = Path(__file__).parent.parent
TOOLS = ("bash", "cat", "cksum", "dirname", "head", "ls", "readlink", "rm", "sed", "sort", "tail")
# Stands in for the addon: says what mitmproxy made of the options, and ends the program.
PROBE = """
import json, os
from mitmproxy import ctx

def running():
    said = {"host": ctx.options.listen_host, "port": ctx.options.listen_port, "cwd": os.getcwd()}
    said["sent_through"] = os.environ.get("HTTPS_PROXY", "")
    print(os.environ["ROTATOR_PASTE"])
    print("probe " + json.dumps(said), flush=True)
    ctx.master.shutdown()
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A checkout and a home of its own; PATH holds the tools that the scripts need, and no Python."""

    checkout: Path
    home: Path
    shims: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the home folder, with this machine's environment variables and those given."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.home,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs scripts/start, with no server: it ends as soon as the addon stand-in has spoken."""
        venv = {"ROTATOR_VENV": sys.prefix}
        return self.run(
            "bash", self.checkout / "scripts" / "start", "-n", *options, **{**venv, **environment}
        )

    def library(self, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs commands that use scripts/lib.sh."""
        script = f"set -euo pipefail; . scripts/lib.sh; {commands}"
        return self.run("bash", "-c", f'cd "$1"; {script}', "-", self.checkout, **environment)

    def shim(self, name: str, body: str) -> None:
        """Puts a command on PATH."""
        file = self.shims / name
        file.write_text(f"#!{shutil.which('bash')}\n{body}\n")
        file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    checkout, home, shims = tmp_path / "a checkout", tmp_path / "a home", tmp_path / "shims"
    for made in (home, shims):
        made.mkdir(parents=True)
    for copied in ("scripts", "rotator", "addons", "rewrite", "protocols"):
        shutil.copytree(ROOT / copied, checkout / copied, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", checkout)
    (checkout / "addons" / "rotator.py").write_text(PROBE)
    for tool in TOOLS:
        (shims / tool).symlink_to(shutil.which(tool) or f"{tool} is missing")
    return Machine(checkout, home, shims, {"HOME": str(home), "PATH": str(shims)})


@pytest.fixture
def in_venv() -> None:
    if not (Path(sys.prefix) / "pyvenv.cfg").is_file():
        pytest.skip("the tests do not run in a virtual environment that scripts/start could use")


def base_python() -> Path:
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def add_pyenv_version(home: Path, name: str) -> Path:
    """Installs this Python for pyenv: a launcher, since a link would take its prefix from where it lies."""
    python = home / ".pyenv" / "versions" / name / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!{shutil.which("bash")}\nexec "{base_python()}" "$@"\n')
    python.chmod(0o755)
    return python


def root_certificate(file: Path, name: str) -> Path:
    """A self-signed authority in a PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    dated = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = dated.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, SHA256()
    )
    file.write_bytes(signed.public_bytes(Encoding.PEM))
    return file


def trusted(bundle: Path, name: str) -> int:
    """How many roots of that name a client's OpenSSL reads from a bundle."""
    context = ssl.create_default_context(cafile=str(bundle))
    return sum((("commonName", name),) in each["subject"] for each in context.get_ca_certs())


def exported(machine: Machine, output: str) -> dict[str, str]:
    """What a shell has after the export lines are pasted into it."""
    lines = "\n".join(re.findall(r"^export .*", output, re.MULTILINE))
    names = re.findall(r"^export (\w+)=", lines, re.MULTILINE)
    show = "\n".join(f'printf "%s\\0" "${name}"' for name in names)
    values = machine.run("bash", "-c", f"{lines}\n{show}").stdout.split("\0")
    return dict(zip(names, values, strict=False))


def probed(output: str) -> dict[str, object]:
    """What the stand-in for the addon said."""
    found = re.search(r"^probe (.*)", output, re.MULTILINE)
    assert found, output
    said: dict[str, object] = json.loads(found[1])
    return said


# --- finding Python


def test_a_shim_with_no_python_behind_it_is_skipped(machine: Machine) -> None:
    for name in ("python3.14", "python3.13", "python3.12", "python3", "python"):
        machine.shim(name, f'echo "pyenv: {name}: command not found" >&2; exit 127')
    add_pyenv_version(machine.home, "3.9.18").write_text("#!/nowhere\n")
    works = add_pyenv_version(machine.home, "3.12.1")
    assert machine.library("find_python").stdout.strip() == str(works)


def test_the_newest_of_pyenvs_versions_is_taken(machine: Machine) -> None:
    for name in ("3.9.18", "3.12.9", "3.12.10"):
        add_pyenv_version(machine.home, name)
    assert "/versions/3.12.10/" in machine.library("find_python").stdout


def test_an_old_python_is_skipped(machine: Machine) -> None:
    # Answers the question for its version as 3.11 would.
    machine.shim("python3", "exit 1")
    works = add_pyenv_version(machine.home, "3.13.0")
    assert machine.library("find_python").stdout.strip() == str(works)


def test_uv_is_asked(machine: Machine) -> None:
    machine.shim("uv", f'[ "$*" = "python find >=3.12" ] && echo "{base_python()}"')
    assert machine.library("find_python").stdout.strip() == str(base_python())


def test_no_python_is_said_with_what_was_tried_and_what_to_install(machine: Machine) -> None:
    machine.shim("python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')
    done = machine.run("bash", machine.checkout / "scripts" / "start")
    assert done.returncode == 1
    assert "no Python 3.12 or newer was found" in done.stderr
    assert "python3.13: does not run: pyenv: python3.13: command not found" in done.stderr
    assert "apt-get install python3.13" in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_the_python_that_is_named_is_taken_or_refused(machine: Machine) -> None:
    works = str(base_python())
    assert machine.library("find_python", ROTATOR_PYTHON=works).stdout.strip() == works
    refused = machine.library("find_python", ROTATOR_PYTHON="/nowhere/python")
    assert refused.returncode == 1
    assert "ROTATOR_PYTHON=/nowhere/python is not a Python 3.12 or newer that runs" in refused.stderr


# --- the virtual environment


@pytest.mark.parametrize("left", ["no pyvenv.cfg", "the marker of an interrupted installation"])
def test_a_half_made_environment_is_made_anew(machine: Machine, left: str) -> None:
    venv = machine.checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(base_python())
    if "marker" in left:
        (venv / "pyvenv.cfg").write_text(f"home = {base_python().parent}\n")
        (machine.checkout / ".venv.unfinished").touch()
    rest = venv / "left over"
    rest.touch()
    done = machine.library("usable_venv || make_venv", ROTATOR_PYTHON=str(base_python()))
    assert done.returncode == 0, done.stderr
    assert not rest.exists()
    assert machine.run(venv / "bin" / "python", "-m", "pip", "--version").returncode == 0


def test_a_folder_that_is_no_environment_is_left_alone(machine: Machine) -> None:
    kept = machine.home / "kept"
    kept.touch()
    done = machine.library("make_venv", ROTATOR_VENV=str(machine.home), ROTATOR_PYTHON=str(base_python()))
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert kept.exists()


def test_a_changed_pyproject_is_noticed(machine: Machine) -> None:
    venv = machine.checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(base_python())
    (venv / "pyvenv.cfg").write_text("version = 3.12.1\n")
    made = 'fingerprint >"$venv/rotator-start.stamp"; installed start'
    assert machine.library(made).returncode == 0
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("# one more dependency\n")
    assert machine.library("installed start").returncode == 1


def test_the_demo_gets_the_sdks_that_it_plays(machine: Machine) -> None:
    ready = 'prepare() { printf "prepared %s\\n" "$1"; exit; }'
    for arguments, what in (("demo", "demo"), ("status", "start"), ("", "start")):
        script = f'{ready}; eval "$(sed -n "/^case/,/^esac/p" scripts/rotator)"'
        done = machine.library(f"set -- {arguments}; {script}")
        assert done.stdout == f"prepared {what}\n", done.stderr
    (venv := machine.checkout / ".venv" / "bin").mkdir(parents=True)
    (venv / "python").symlink_to(base_python())
    wanted = machine.library("requirements demo").stdout
    assert ("openai" in wanted, "anthropic" in wanted, "mitmproxy" in wanted) == (True, True, True)
    assert "openai" not in machine.library("requirements").stdout


@pytest.mark.parametrize(
    ("config", "arguments", "what"),
    [
        ('[state]\nurl = "redis://x"\n', "", "state"),
        ('state.url = "redis://x"\n', "-p 1", "state"),
        ("# [state]\n[states]\nthe_state = 1\n", "", "start"),
        ("", "", "start"),
    ],
)
def test_shared_state_gets_its_package(machine: Machine, config: str, arguments: str, what: str) -> None:
    (machine.checkout / "rotator.toml").write_text(config)
    assert machine.library(f"needed {arguments}").stdout == f"{what}\n"
    (machine.checkout / "rotator.toml").rename(machine.home / "an other.toml")
    for option in (
        f"--set 'rotator_config={machine.home}/an other.toml'",
        f"--config '{machine.home}/an other.toml'",
    ):
        assert machine.library(f"needed {option}").stdout == f"{what}\n"
    assert machine.library("needed", ROTATOR__STATE__URL="redis://x").stdout == "state\n"


# --- scripts/start


@pytest.mark.usefixtures("in_venv")
@pytest.mark.parametrize("script", ["rotator", "start"])
def test_a_link_to_a_script_is_followed(machine: Machine, script: str) -> None:
    own = machine.home / "bin"
    own.mkdir()
    (own / "first").symlink_to(machine.checkout / "scripts" / script)
    (own / "second").symlink_to("first")
    done = machine.run("bash", own / "second", "--help", ROTATOR_VENV=sys.prefix)
    assert done.returncode == 0, done.stderr
    assert "Usage: rotator" in done.stdout


@pytest.mark.usefixtures("in_venv")
def test_the_export_lines_can_be_pasted(machine: Machine) -> None:
    done = machine.start("-p", "8097")
    assert done.returncode == 0, done.stderr
    conf = machine.home / ".mitmproxy"
    bundle, authority = str(conf / "rotator-ca-bundle.pem"), str(conf / "mitmproxy-ca-cert.pem")
    assert exported(machine, done.stdout) == client_variables("http://127.0.0.1:8097", bundle, authority)
    assert "\nunset SSL_CERT_DIR\n" in done.stdout
    rotator = shlex.quote(str(machine.checkout / "scripts" / "rotator"))
    assert f'# To take it back: eval "$({rotator} env --unset)"' in done.stdout
    said = probed(done.stdout)
    assert (said["host"], said["port"], said["cwd"]) == ("127.0.0.1", 8097, str(machine.home))


@pytest.mark.usefixtures("in_venv")
@pytest.mark.parametrize(
    ("options", "config", "proxy", "host"),
    [
        (["-p8097"], "", "127.0.0.1:8097", "127.0.0.1"),
        (["--listen-port=8097"], "", "127.0.0.1:8097", "127.0.0.1"),
        (["--set", "listen_port=8097"], "", "127.0.0.1:8097", "127.0.0.1"),
        (["--set", "listen_port=8098"], "listen_port: 8097", "127.0.0.1:8097", "127.0.0.1"),
        (["--listen-port", "8097"], "listen_port: 8098", "127.0.0.1:8097", "127.0.0.1"),
        (["-p", "8097", "--listen-host", "0.0.0.0"], "", "127.0.0.1:8097", "0.0.0.0"),
        (["-p", "8097"], "listen_host: '::1'", "[::1]:8097", "::1"),
        (
            ["--web", "--no-web-open-browser", "--web-port=WEB", "-p", "8097"],
            "",
            "127.0.0.1:8097",
            "127.0.0.1",
        ),
    ],
)
def test_the_exported_proxy_is_where_mitmproxy_listens(
    machine: Machine, options: list[str], config: str, proxy: str, host: str
) -> None:
    conf = machine.home / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(config)
    options = [option.replace("WEB", str(free_port())) for option in options]
    done = machine.start("--set", f"confdir={conf}", *options)
    said = probed(done.stdout)
    assert exported(machine, done.stdout)["HTTPS_PROXY"] == f"http://{proxy}"
    assert (said["host"], said["port"]) == (host, 8097)
    others = re.search(r"^# On another machine: http://(.*):8097,", done.stdout, re.MULTILINE)
    assert bool(others) is (host == "0.0.0.0")
    assert others is None or others[1] not in ("127.0.0.1", "0.0.0.0")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.usefixtures("in_venv")
def test_a_port_of_the_mode_is_exported(machine: Machine) -> None:
    done = machine.start("--mode", "regular@127.0.0.1:8097", "-p", "8098")
    assert exported(machine, done.stdout)["HTTPS_PROXY"] == "http://127.0.0.1:8097"


@pytest.mark.usefixtures("in_venv")
def test_the_bundle_has_the_chosen_roots_the_usual_ones_and_ours(machine: Machine) -> None:
    chosen = root_certificate(machine.home / "company.pem", "The company's root")
    machine.start(SSL_CERT_FILE=str(chosen))
    bundle = machine.home / ".mitmproxy" / "rotator-ca-bundle.pem"
    assert trusted(bundle, "The company's root") == 1
    assert trusted(bundle, "mitmproxy") == 1
    # One that every system has.
    assert trusted(bundle, "ISRG Root X1") == 1
    blocks = bundle.read_text().split("-----END CERTIFICATE-----")
    assert len(blocks) == len(set(blocks)), "each certificate stands in it once"


@pytest.mark.usefixtures("in_venv")
def test_the_chosen_roots_outlive_a_restart_where_the_lines_are_pasted(machine: Machine) -> None:
    chosen = root_certificate(machine.home / "company.pem", "The company's root")
    pasted = exported(machine, machine.start(SSL_CERT_FILE=str(chosen)).stdout)
    bundle = Path(pasted["SSL_CERT_FILE"])
    os.utime(bundle, (0, 0))
    done = machine.start(**pasted)
    assert done.returncode == 0, done.stderr
    assert not probed(done.stdout)["sent_through"], "rotator is not its own client"
    assert bundle.stat().st_mtime > 0, "an old bundle is made again"
    assert trusted(bundle, "The company's root") == 1


@pytest.mark.usefixtures("in_venv")
def test_an_authority_that_is_there_is_kept(machine: Machine) -> None:
    conf = machine.home / ".mitmproxy"
    machine.start()
    before = (conf / "mitmproxy-ca.pem").read_bytes()
    (conf / "rotator-ca-bundle.pem").unlink()
    machine.start()
    assert (conf / "mitmproxy-ca.pem").read_bytes() == before
    assert trusted(conf / "rotator-ca-bundle.pem", "mitmproxy") == 1


@pytest.mark.usefixtures("in_venv")
def test_the_second_start_starts_one_python(machine: Machine) -> None:
    assert machine.start().returncode == 0
    script = machine.checkout / "scripts" / "start"
    done = machine.run("bash", "-x", script, "-n", ROTATOR_VENV=sys.prefix)
    python = shlex.quote(f"{sys.prefix}/bin/python")
    started = [
        line for line in done.stderr.splitlines() if re.match(rf"\++ (exec )?{re.escape(python)} ", line)
    ]
    assert len(started) == 1, started
    assert started[0].startswith(f"+ exec {python} -P ")


@pytest.mark.usefixtures("in_venv")
def test_a_faulty_config_is_reported_alone(machine: Machine) -> None:
    """Nothing to paste, nothing that looks as if the proxy ran."""
    (machine.home / "rotator.toml").write_text("[retry]\nmax_atempts = 3\n")
    done = machine.run("bash", ROOT / "scripts" / "start", "-p", "0", ROTATOR_VENV=sys.prefix)
    assert done.returncode == 1
    assert "retry.max_atempts: unknown name" in done.stdout.splitlines()[-1]
    assert not re.search("export|listening|Traceback", done.stdout + done.stderr)


# --- scripts/test, scripts/sdks.py and .ci/run

CHECKED = "echo checked"


@pytest.mark.parametrize("thorough", [(), ("--thorough",)], ids=["usual", "thorough"])
def test_the_whole_is_checked_and_run_by_several_workers(machine: Machine, thorough: tuple[str, ...]) -> None:
    done = scripts_test(machine, *thorough, check=CHECKED)
    assert done.returncode == 0, done.stderr
    workers = "-n auto --dist loadfile --no-loadscope-reorder"
    assert sorted(done.stdout.splitlines()) == sorted(
        ["checked", "-m scripts.sdks", " ".join(["-m pytest", workers, *thorough])]
    )


def test_with_other_arguments_it_is_pytest(machine: Machine) -> None:
    done = scripts_test(machine, "tests/test_imports.py", "-x", check=CHECKED)
    assert done.stdout.splitlines() == ["-m scripts.sdks", "-m pytest tests/test_imports.py -x"]


def test_a_check_that_fails_ends_it(machine: Machine) -> None:
    done = scripts_test(machine, check="exit 3")
    assert (done.returncode, done.stdout.splitlines()) == (3, ["-m scripts.sdks"])


def scripts_test(machine: Machine, *arguments: str, check: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts/test with a Python that prints what it is asked for."""
    python = machine.checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (python.parent.parent / "pyvenv.cfg").touch()
    for stand_in, does in ((python, 'echo "$@"'), (machine.checkout / "scripts" / "check", check)):
        stand_in.write_text(f"#!{shutil.which('bash')}\n{does}\n")
        stand_in.chmod(0o755)
    machine.library('fingerprint >"$venv/rotator-test.stamp"')
    return machine.run("bash", machine.checkout / "scripts" / "test", *arguments)


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else is given while the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_an_sdk_that_cannot_be_installed_leaves_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing_port: int
) -> None:
    monkeypatch.setenv("ROTATOR_SDKS", str(tmp_path))
    with pytest.raises(sdks.SdkMissing, match="run scripts/test"):
        sdks.interpreter("openai-older")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{refusing_port}/")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "registry can't be reached" in sdks.build("openai-older")
    with pytest.raises(sdks.SdkMissing, match="openai-older could not be installed: the package registry"):
        sdks.interpreter("openai-older")


def test_an_sdk_with_other_pins_is_not_taken_for_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATOR_SDKS", str(tmp_path))
    python = tmp_path / "openai-older" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(base_python())
    stamp = tmp_path / "openai-older" / "rotator.stamp"
    stamp.write_text(sdks.fingerprint("openai-older"))
    assert sdks.interpreter("openai-older") == python
    stamp.write_text(sdks.fingerprint("openai-current"))
    with pytest.raises(sdks.SdkMissing):
        sdks.interpreter("openai-older")


@pytest.mark.parametrize("beside", [True, False])
def test_ci_hands_over_recorded_streams_that_lie_beside_the_checkout(machine: Machine, beside: bool) -> None:
    shutil.copytree(ROOT / ".ci", machine.checkout / ".ci")
    said = 'echo "recorded: ${ROTATOR_RECORDED-unset}"; exit 7'
    (machine.checkout / "scripts" / "test").write_text(f"#!{shutil.which('bash')}\n{said}\n")
    recorded = machine.checkout.parent / "shared" / "wire" / "recorded"
    if beside:
        recorded.mkdir(parents=True)
    done = machine.run("bash", machine.checkout / ".ci" / "run")
    assert done.stdout.splitlines()[-1] == f"recorded: {recorded if beside else 'unset'}"
    assert done.returncode == 7
