"""override_model: the provider is asked for another model than the client named.

Loses: the answer names the provider's model, so a client that compares the two sees another name.

Only a body that names a model is changed. In gemini_generate the path names it: there a route's
`to = "provider/model"` is the way, and the body is left alone.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Factory, Options, Unchanged


@dataclass(frozen=True, slots=True)
class OverrideModel(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "override_model"
    model: str

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        named = body.get("model", self.model)
        if context.protocol == "gemini_generate" or named == self.model:
            return body
        return {**body, "model": self.model}


def _make(options: Options) -> OverrideModel:
    return OverrideModel(options.text("model"))


ADAPTER = Factory(OverrideModel.name, _make, ("model",))
