"""Alternative texts of images, written by a chat model with vision."""

import asyncio
import logging
from contextlib import aclosing

from bot.llm.messages import Delta, ModelFailed, Role, Said
from bot.ports import ChatModel
from bot.prompting.system_prompt import alternative

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds
LONGEST = 400  # characters


async def described(model: ChatModel, jpeg: bytes, prompt: str) -> str:
    """Write one or two sentences that describe the image; empty without vision, on failure, or after `TIMEOUT`.

    `prompt` is the prompt of the image: it helps the model with names. The text has at most `MAX_LENGTH` characters.
    """
    if not model.manners.sees:
        return ""
    told = (Said(Role.SYSTEM, alternative()), Said(Role.USER, f"It was asked for as: {prompt[:500]}", (jpeg,)))
    words = ""
    try:
        async with asyncio.timeout(PATIENCE), aclosing(model.listen(told)) as events:
            async for event in events:
                match event:
                    case Delta(text):
                        words += text
                    case ModelFailed():
                        return ""
    except TimeoutError:
        log.info("no alternative text within the timeout")
        return ""
    plain = " ".join(words.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"
