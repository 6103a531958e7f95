"""The options of mitmproxy that are ours."""

from collections.abc import Sequence
from dataclasses import dataclass

from mitmproxy.addonmanager import Loader

from addons.records.terminal import LAYOUTS
from addons.startup import INTERCEPT


@dataclass(frozen=True, slots=True)
class Option:
    """One of them: `--set NAME=VALUE`."""

    name: str
    default: str | bool
    help: str
    """A sentence."""
    choices: Sequence[str] | None = None
    """The values that it may have. None: any of its type."""


OPTIONS = (
    Option("rotator_config", "", "The config file; default: ./rotator.toml, else the user's."),
    Option("rotator_providers", "", "A folder of files NAME.toml, each of a provider; default: none."),
    Option(
        "rotator_intercept",
        "providers",
        "Whose connections are decrypted: those to providers, or all.",
        INTERCEPT,
    ),
    Option(
        "rotator_state",
        "",
        "A folder that responses, fields and what is known of keys outlive the proxy in; default: none.",
    ),
    Option(
        "rotator_usage",
        "",
        "The file in which usage and cost are kept, or off; default: in rotator_state, else in memory.",
    ),
    Option(
        "rotator_buffer",
        "",
        "A flow filter: which answers are collected before the client gets them, to be edited.",
    ),
    Option(
        "rotator_log",
        "auto",
        "How the log looks: in columns, as logfmt, or a JSON object a line; auto: columns on a terminal.",
        LAYOUTS,
    ),
    Option(
        "rotator_quiet",
        False,
        "Whether mitmproxy says nothing of connections and flows; its warnings and errors stay.",
    ),
    Option(
        "rotator_attempt_flows",
        False,
        "Show each attempt at a provider as a flow of its own, beside that of the client.",
    ),
)


def register(loader: Loader) -> None:
    """At load."""
    for each in OPTIONS:
        loader.add_option(each.name, type(each.default), each.default, each.help, each.choices)
