"""The built-in chat model: rules, no key. The same history always gets the same answer."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from bot.llm.messages import Delta, Manners, ModelEvent, Said, Stopped, Tool
from bot.offline_llm.answer_text import compose
from bot.offline_llm.planner import plan
from bot.offline_llm.request_context import hear
from bot.offline_llm.sentence_filter import wishes_in
from bot.offline_llm.small_talk import at_a_loss, small_talk


@dataclass(frozen=True, slots=True)
class OfflineModel:
    """Answers by rules, word by word. `pause` is in seconds a word."""

    pause: float = 0.02

    @property
    def manners(self) -> Manners:
        """It writes tags, and has room for any thread."""
        return Manners(context=32_768, forgets=False)  # what it does not draw, it cannot

    async def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer: one `TextDelta` per word, then `StreamEnd`."""
        for word in re.findall(r"\s*\S+\s*", answer(transcript)):
            yield Delta(word)
            await asyncio.sleep(self.pause)
        yield Stopped()


def answer(transcript: Sequence[Said]) -> str:
    """The whole answer, with its image tags."""
    asked = hear(transcript)
    if words := small_talk(asked):
        return words
    acts = plan(replace(asked, text=wishes_in(asked.text)))
    return compose(acts, asked.turn, asked.marked) if acts else at_a_loss(asked)
