"""drop_params: leaves out of the request what the provider refuses.

`params`: paths (`rewrite/fields/paths.py`); a list on the way stands for each of its items. In any protocol.

Loses: what these parameters asked for.
"""

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Factory, Options, Unchanged
from rewrite.fields.paths import Steps, parse_path, without


@dataclass(frozen=True, slots=True)
class DropParams(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "drop_params"
    params: tuple[Steps, ...]

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return reduce(without, self.params, body)


def _make(options: Options) -> DropParams:
    return DropParams(tuple(parse_path(text) for text in options.texts("params")))


ADAPTER = Factory(DropParams.name, _make, ("params",))
