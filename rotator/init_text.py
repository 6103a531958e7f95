"""The config that `rotator init` writes. Pure."""

import json
from collections.abc import Iterator, Sequence

from rotator.sources import Source

_HEAD = """\
# The configuration of rotator. All names that there are, with their defaults: rotator.example.toml.
# No key is ever written here: env:NAME is a variable, file:PATH a file, cmd:COMMAND what a command prints.
# `rotator check` shows what rotator makes of this file; `rotator check --live` asks each key too."""

_ROTATION = """\
# The first key serves until it is rate-limited or out of quota, then the next: that keeps prompt caches warm.
# rotation = "round_robin"    # they take turns"""

_REPLACE = """\
# replace_oauth = true        # the token that a logged-in tool sends is replaced by these: keys are billed"""

_TAIL = """\
# When no key of a provider is left, another provider or model can answer:
# [[routes]]
# match = { model = "claude-*" }
# to = ["anthropic", "openai/gpt-5"]
"""

_EXAMPLE = """\
# No key was found. A pool of two keys, from the variables WORK_KEY and SPARE_KEY:
# [providers.openai]
# credentials = [
#   { name = "work", key = "env:WORK_KEY" },
#   { name = "spare", key = "env:SPARE_KEY" },
# ]"""


def config(sources: Sequence[Source]) -> str:
    """The text of the file: what cannot be used as it is stands in comments, with what is missing."""
    names = dict.fromkeys(source.provider for source in sources)
    tables = ["\n".join(_table([one for one in sources if one.provider == name])) for name in names]
    return "\n\n".join((_HEAD, *(tables or [_EXAMPLE]), _TAIL))


def _table(sources: Sequence[Source]) -> Iterator[str]:
    """The table of one provider. It is a comment where none of its credentials can be used."""
    off = "" if any(not one.unfit for one in sources) else "# "
    yield f"{off}[providers.{sources[0].provider}]"
    yield _ROTATION
    if any("oauth" in one.fields for one in sources):
        yield _REPLACE
    yield f"{off}credentials = ["
    for one in sources:
        if one.unfit:
            yield f"#   {one.where}: {one.unfit}"
        yield f"{'# ' if one.unfit else ''}  {{ {_fields(one)} }},"
    yield f"{off}]"


def _fields(source: Source) -> str:
    """JSON's texts are TOML's."""
    fields = {"name": source.name, **source.fields}
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in fields.items())
