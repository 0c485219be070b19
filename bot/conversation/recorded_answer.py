"""Wraps a chat model: saves its answer while it streams and replays the saved answer after a restart."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool, ToolCall
from bot.llm.token_budget import estimate_message_tokens, estimate_tokens
from bot.parsing.image_request import as_tag
from bot.parsing.tool_calls import parse_tool_call
from bot.ports import ChatModel
from bot.storage.store import Store


class RecordedAnswer:
    """The chat model for one message. Later answers, such as that to a reminder, are appended to the first."""

    def __init__(self, model: ChatModel, store: Store, message_id: str, highest_number: int) -> None:
        """`highest_number` is the highest image number in the thread."""
        self._model = model
        self._store = store
        self._message_id = message_id
        self._highest_number = highest_number
        self._text = ""
        self._prompt_tokens = 0

    @property
    def profile(self) -> ModelProfile:
        """The profile of the wrapped model."""
        return self._model.profile

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the events of the model, or the text of its saved answer if that is complete."""
        saved = None if self._text else self._store.finished_answer(self._message_id)
        if saved is not None:
            self._text = saved or " "
            yield TextDelta(saved)
            yield StreamEnd()
            return
        pieces = [f"{self._text}\n\n"] if self._text else []
        self._prompt_tokens = sum(map(estimate_message_tokens, history))
        complete = False
        try:
            async with aclosing(self._model.stream(history, tools)) as answer:
                async for event in answer:
                    pieces += self._recorded_text(event)
                    complete = event == StreamEnd()
                    if complete:
                        self._save(pieces, complete)
                    yield event
        finally:
            if not complete:
                self._save(pieces, complete)

    def _recorded_text(self, event: ModelEvent) -> list[str]:
        """The text to save for an event: a text delta as it is, a tool call as the equivalent tags."""
        match event:
            case TextDelta(text):
                return [text]
            case ToolCall(name, arguments):
                return [as_tag(request) for request in parse_tool_call(name, arguments, self._highest_number)]
            case _:
                return []

    def _save(self, pieces: Sequence[str], complete: bool) -> None:
        text = "".join(pieces)
        self._store.add_tokens(
            self._message_id, self._prompt_tokens, estimate_tokens(text) - estimate_tokens(self._text)
        )
        self._text = text or " "
        self._store.save_answer(self._message_id, text, complete and bool(text.strip()))  # empty: asked again
