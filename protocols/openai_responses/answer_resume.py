"""The rest of a response of which its client has seen a part: more of its items, further ones, its end."""

from collections.abc import Iterable, Iterator

from protocols.model.parts import Annotation, BlockDelta, BlockStart, BlockStop, StreamError
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject
from protocols.openai_responses.answer_close import Inherited
from protocols.openai_responses.answer_write import EventWriter
from protocols.openai_responses.layout import Layout, layout_of

_PREFIX = "resp_"


class ResumedEventWriter(EventWriter):
    """Goes on as `progress` stands: under the response's id, behind its last output index and its last
    number, which is none where the provider does not count. Items that were done stay as they are."""

    def __init__(self, progress: Progress) -> None:
        layout = layout_of(progress) or Layout()
        super().__init__(layout.response, progress.head.id.removeprefix(_PREFIX) if progress.head else "")
        self._inherited = Inherited(layout, progress)
        self._next = layout.place(max(layout.items, default=-1) + 1)
        self._counts = layout.sequence is not None
        self._number = (layout.sequence or 0) - layout.unsaid + 1
        self._usage = progress.usage
        self._over = layout.ended

    def _numbered(self, event: JsonObject) -> JsonObject:
        return super()._numbered(event) if self._counts else event

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterable[JsonObject]:
        if isinstance(part, BlockStart) or not self._inherited.holds(part.index):
            return super()._block(part)
        match part:
            case BlockDelta(index=index, text=text):
                return self._inherited.grow(index, text)
            case Annotation(index=index):
                return self._inherited.annotate(index, part)
            case BlockStop(index=index):
                self._inherited.stop(index)
        return ()

    def _settle(self, status: str) -> Iterator[JsonObject]:
        yield from self._inherited.settled(status)
        yield from super()._settle(status)

    def _end(self) -> Iterator[JsonObject]:
        """Without a word of how it ended there is no event that ends it."""
        if self._finish is not None:
            self._inherited.stop_all()
            yield from super()._end()

    def _failed(self, error: StreamError) -> Iterator[JsonObject]:
        """A response that never began cannot fail."""
        began = bool(self.response)
        yield from (event for event in super()._failed(error) if began or event["type"] == "error")

    def _terminal(self, status: str, **fields: object) -> JsonObject:
        self._output = {**self._inherited.output(), **self._output}
        return super()._terminal(status, **fields)
