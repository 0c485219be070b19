"""Wraps a chat model: saves its answer while it streams and replays the saved answer after a restart."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.llm.messages import Called, Delta, Manners, ModelEvent, Said, Stopped, Tool
from bot.llm.token_budget import cost, tokens
from bot.parsing.image_request import as_tag
from bot.parsing.tool_calls import requests
from bot.ports import ChatModel
from bot.storage.store import Store


class Dictation:
    """The chat model for one message. Later answers, such as that to a reminder, are appended to the first."""

    def __init__(self, model: ChatModel, store: Store, message_id: str, pictures: int) -> None:
        """`highest_number` is the highest image number in the thread."""
        self._model = model
        self._store = store
        self._message_id = message_id
        self._pictures = pictures
        self._kept = ""
        self._told = 0

    @property
    def manners(self) -> Manners:
        """The profile of the wrapped model."""
        return self._model.manners

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the events of the model, or the text of its saved answer if that is complete."""
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
        """The text to save for an event: a text delta as it is, a tool call as the equivalent tags."""
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
        self._store.hear(self._message_id, words, complete and bool(words.strip()))  # empty: asked again
