"""What every test may ask for, how often a property is tried, and what a usual run leaves out."""

import os
import random
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A shell that starts the tests in the background ignores these, and so would whatever they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# No deadline and no look at speed: other work on the machine must not fail a property.
# No database: the seed that is printed makes the same examples again.
# Hypothesis derandomizes where the variable CI is set, and then no run would try anything new.
settings.register_profile(
    "usual",
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("usual"), max_examples=1000)
_LEFT_OUT = pytest.StashKey[int]()
_QUICK = ("tests/addons/", "tests/protocols/", "tests/rewrite/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="ten times as many examples of each property, and SDKs of every generation",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Runs before Hypothesis reads its options."""
    settings.load_profile("thorough" if config.getoption("thorough") else "usual")
    given: dict[str, int] = getattr(config, "workerinput", {})
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = given.get("seed", random.randrange(2**32))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist gets the seed of the run."""
    node.workerinput["seed"] = node.config.option.hypothesis_seed


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Many tests wait for programs that they started, so that two cores have enough to do for three."""
    return min(max(os.cpu_count() or 1, 3), 4)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What starts programs comes first, so that no worker is left with a long file at the end."""
    items.sort(key=lambda item: item.nodeid.startswith(_QUICK))
    if config.getoption("thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_LEFT_OUT] = len(left_out)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """A worker of pytest-xdist says how many cases it left out. Each worker leaves out the same ones."""
    output: dict[str, int] = getattr(session.config, "workeroutput", {})
    output["left_out"] = session.config.stash.get(_LEFT_OUT, 0)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    examples, seed = settings().max_examples, config.option.hypothesis_seed
    terminalreporter.write_line(f"{examples} random examples a property, by --hypothesis-seed={seed}")
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} cases of older SDKs are left out; --thorough plays them too")


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded provider streams that ROTATOR_RECORDED names; skips where there is none."""
    named = os.environ.get("ROTATOR_RECORDED", "")
    if not named:
        pytest.skip("ROTATOR_RECORDED is not set: no recorded streams to replay")
    if not Path(named).is_dir():
        pytest.skip(f"ROTATOR_RECORDED={named} is not a folder: no recorded streams to replay")
    return Path(named)
