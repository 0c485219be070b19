"""A chat model whose words are kept as they come, and said again from the store once it has finished."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.budget import cost, tokens
from bot.ports import ChatModel
from bot.speech import Called, Delta, Manners, ModelEvent, Said, Stopped, Tool
from bot.store import Store
from bot.tools import requests
from bot.wishes import as_tag


class Dictation:
    """The model, for one message. What it is asked beyond its first answer, such as a reminder, is kept behind it."""

    def __init__(self, model: ChatModel, store: Store, message_id: str, pictures: int) -> None:
        """`pictures` is the highest number in the thread."""
        self._model = model
        self._store = store
        self._message_id = message_id
        self._pictures = pictures
        self._kept = ""
        self._told = 0

    @property
    def manners(self) -> Manners:
        """Those of the model."""
        return self._model.manners

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """The model's events, or those of an answer that was heard before."""
        words = None if self._kept else self._store.heard(self._message_id)
        if words is not None:
            self._kept = words or " "
            yield Delta(words)
            yield Stopped()
            return
        said = [f"{self._kept}\n\n"] if self._kept else []
        self._told = sum(map(cost, transcript))
        complete = False
        try:
            async with aclosing(self._model.listen(transcript, tools)) as answer:
                async for event in answer:
                    said += self._written(event)
                    complete = event == Stopped()
                    if complete:
                        self._keep(said, complete)
                    yield event
        finally:
            if not complete:
                self._keep(said, complete)

    def _written(self, event: ModelEvent) -> list[str]:
        """What is kept of an event: words as they are, a call as the tag that says the same."""
        match event:
            case Delta(text):
                return [text]
            case Called(name, arguments):
                return [as_tag(request) for request in requests(name, arguments, self._pictures)]
            case _:
                return []

    def _keep(self, said: Sequence[str], complete: bool) -> None:
        words = "".join(said)
        self._store.spend(self._message_id, self._told, tokens(words) - tokens(self._kept))
        self._kept = words or " "
        self._store.hear(self._message_id, words, complete and bool(words.strip()))  # nothing is asked for again
