"""Alternative texts: what is to be seen in a picture, told by a chat model that sees it."""

import asyncio
import logging
from contextlib import aclosing

from bot.ports import ChatModel
from bot.prompts import alternative
from bot.speech import Delta, ModelFailed, Role, Said

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds
LONGEST = 400  # characters


async def described(model: ChatModel, jpeg: bytes, prompt: str) -> str:
    """What is to be seen, in a sentence or two; empty if the model does not see, does not answer, or takes too long.

    `prompt` is what was asked for, which helps with names.
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
        log.info("a picture was not described in time")
        return ""
    plain = " ".join(words.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"
