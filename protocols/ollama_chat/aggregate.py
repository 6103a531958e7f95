"""The lines of a stream put together as the one line that would have come whole."""

from protocols.model.wirejson import JsonObject, beside, object_at, text_at

_TEXTS = ("content", "thinking")
_LISTS = ("tool_calls", "images")


class OllamaFold:
    """See `protocols.base.Fold`. A call comes whole or not at all."""

    def __init__(self) -> None:
        self._line: dict[str, object] = {}
        self._message: dict[str, object] = {}
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[object]] = {}

    def feed(self, event: JsonObject, name: str = "") -> None:
        message = object_at(event, "message")
        self._line |= beside(event, ("message", "logprobs"))
        self._message |= beside(message, (*_TEXTS, *_LISTS))
        for key in _TEXTS:
            if key in message:
                self._texts.setdefault(key, []).append(text_at(message, key))
        for holder, key in ((message, "tool_calls"), (message, "images"), (event, "logprobs")):
            values = holder.get(key)
            if isinstance(values, list):
                self._lists.setdefault(key, []).extend(values)

    def whole(self, *, done: bool) -> JsonObject | None:
        """An end without a reason stays one, as in a whole answer."""
        if not self._line:
            return None
        message: dict[str, object] = {"role": "assistant", "content": "", **self._message}
        message |= {key: "".join(texts) for key, texts in self._texts.items()}
        message |= {key: self._lists[key] for key in _LISTS if self._lists.get(key)}
        probable = {"logprobs": self._lists["logprobs"]} if self._lists.get("logprobs") else {}
        cut = {} if self._line.get("done") is True else {"done": True, "done_reason": "length"}
        return {**self._line, "message": message, **probable, **cut}
