"""Alternative texts of images, written by a chat model with vision."""

import asyncio
import logging
from contextlib import aclosing

from bot.llm.messages import ChatMessage, ModelFailed, Role, TextDelta
from bot.ports import ChatModel
from bot.prompting.system_prompt import build_alt_text_prompt

log = logging.getLogger(__name__)

TIMEOUT = 20.0  # seconds
MAX_LENGTH = 400  # characters


async def write_alt_text(model: ChatModel, jpeg: bytes, prompt: str) -> str:
    """Write one or two sentences that describe the image; empty without vision, on failure, or after `TIMEOUT`.

    `prompt` is the prompt of the image: it helps the model with names. The text has at most `MAX_LENGTH` characters.
    """
    if not model.profile.has_vision:
        return ""
    history = (
        ChatMessage(Role.SYSTEM, build_alt_text_prompt()),
        ChatMessage(Role.USER, f"It was asked for as: {prompt[:500]}", (jpeg,)),
    )
    answer = ""
    try:
        async with asyncio.timeout(TIMEOUT), aclosing(model.stream(history)) as events:
            async for event in events:
                match event:
                    case TextDelta(text):
                        answer += text
                    case ModelFailed():
                        return ""
    except TimeoutError:
        log.info("no alternative text within the timeout")
        return ""
    alt = " ".join(answer.split())
    return alt if len(alt) <= MAX_LENGTH else alt[: MAX_LENGTH - 1].rstrip() + "…"
