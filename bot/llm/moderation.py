"""Moderation of prompts by an OpenAI-compatible moderation endpoint."""

import logging

from openai import AsyncOpenAI, OpenAIError

from bot.errors import Refused
from bot.notices import listed

log = logging.getLogger(__name__)

TIMEOUT = 15.0  # seconds


class Moderator:
    """Sends every prompt to the endpoint before it is rendered. While the endpoint fails, no image is rendered."""

    def __init__(self, base_url: str, key: str, model: str) -> None:
        self._client = AsyncOpenAI(base_url=base_url, api_key=key or "none", timeout=TIMEOUT, max_retries=1)
        self._model = model

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def check(self, prompt: str) -> None:
        """Raises Refused if the endpoint flags the prompt, with the category names, or if it does not answer."""
        try:
            response = await self._client.moderations.create(input=prompt, model=self._model)
            verdicts = list(response.results)
            flagged = [verdict for verdict in verdicts if verdict.flagged]
            if not verdicts:
                raise ValueError("no verdict")
        except (OpenAIError, ValueError, TypeError, AttributeError) as error:
            log.warning("the moderation endpoint does not answer: %s", type(error).__name__)
            raise Refused("moderation-down") from error
        if flagged:
            found = {name for verdict in flagged for name, so in verdict.categories.model_dump().items() if so}
            named = sorted({name.replace("_", " ").replace("/", " ") for name in found})
            if not named:
                raise Refused("moderation-blocked")
            raise Refused("moderation-blocked-for", categories=listed(named))
