"""The demo for a reader."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from rotator.demo.moments import Moment
from rotator.demo.stage import Played, Seen

LONGEST_ERROR = 110
"""Characters of an exception that are shown."""

BEFORE = (
    "A fake provider, a real proxy, and the real SDKs of OpenAI and Anthropic, on this machine alone.\n"
    "Each call is played twice: without the proxy, and through it."
)


def moment(number: int, one: Moment, played: Played, console: Console) -> Iterator[Text]:
    """What was seen of it without the proxy, and through it, in lines that fit `console`."""
    yield Text(f"{number}  {one.title}", "bold")
    for heading, body in _rows(one, played):
        lines = body.wrap(console, max(console.width - len(_INDENT), 20))
        yield Text.assemble(heading.ljust(len(_INDENT)), Text(f"\n{_INDENT}").join(lines))


_INDENT = " " * len("   without  ")


def _rows(one: Moment, played: Played) -> Iterator[tuple[str, Text]]:
    yield "   without", _seen(played.without)
    if one.timeout is not None:
        yield "", Text("(a timeout for the demo; by itself the SDK waits 600 s)", "bright_black")
    yield "   through", _seen(played.through)
    yield "", Text.assemble((one.does, "cyan"), (_known(played), "bright_black"))


def _known(played: Played) -> str:
    """What the proxy says came of the call, and who answered."""
    known = played.answered
    return f" ({known['verdict']}, {known['provider']}/{known['credential']})" if known else ""


def _seen(seen: Seen) -> Text:
    said = f'"{seen.text.strip()}"' if seen.text else ""
    if seen.error:
        error = seen.error if len(seen.error) <= LONGEST_ERROR else f"{seen.error[:LONGEST_ERROR]}..."
        text = Text(f"{said}, then " if said else "").append(error, style="red")
    else:
        text = Text(said, style="green").append(f", finish: {seen.finish}", style="default")
    return text.append(f"  {seen.seconds:.1f} s", style="bright_black")


def after(command: str) -> Text:
    return Text.assemble(
        "With keys of your own: ",
        (f"{command} init", "bold"),
        " writes a config, ",
        (f"{command} run -- claude", "bold"),
        " runs a tool through the proxy.",
    )
