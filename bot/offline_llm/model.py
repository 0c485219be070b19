"""The built-in chat model: rules, no key. The same history always gets the same answer."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool
from bot.offline_llm.answer_text import compose
from bot.offline_llm.planner import plan
from bot.offline_llm.request_context import read_request
from bot.offline_llm.sentence_filter import image_requests_in
from bot.offline_llm.small_talk import at_a_loss, small_talk


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """Answers by rules, word by word. `pause` is in seconds a word."""

    pause: float = 0.02

    @property
    def profile(self) -> ModelProfile:
        """It writes tags, and has room for any thread."""
        return ModelProfile(context_window=32_768, may_forget_images=False)  # what it does not draw, it cannot

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer: one `TextDelta` per word, then `StreamEnd`."""
        for word in re.findall(r"\s*\S+\s*", answer(history)):
            yield TextDelta(word)
            await asyncio.sleep(self.pause)
        yield StreamEnd()


def answer(history: Sequence[ChatMessage]) -> str:
    """The whole answer, with its image tags."""
    asked = read_request(history)
    if words := small_talk(asked):
        return words
    acts = plan(replace(asked, text=image_requests_in(asked.text)))
    return compose(acts, asked.turn, asked.marked) if acts else at_a_loss(asked)
