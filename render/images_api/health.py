"""Whether an images server is available and accepts the key; the server is checked again only after a failure."""

import logging
import time

import httpx2
import openai

from render.images_api.api_errors import read
from render.images_api.client import ImagesClient, NoPicture

log = logging.getLogger(__name__)

AWAY = (1.0, 60.0)  # seconds before a server that failed is checked again: the first pause, the longest
LOCKED = 60.0  # seconds before a server that refused the key is checked again
DOWN = (500, 502, 503, 504)


class Presence:
    """The availability of one images server; unknown before the first check."""

    def __init__(self, client: ImagesClient) -> None:
        self._client = client
        self.clock = time.monotonic
        self.trouble: str | None = None  # why every request fails; a sentence for the user
        self._look_at: float | None = float("-inf")  # time of the next check; None while the server is available
        self._pause = AWAY[0]

    async def look(self) -> bool:
        """Whether the server is available now. Sends a request only at first and after a failure."""
        if self._look_at is not None and self.clock() >= self._look_at:
            await self._ask()
        return self._look_at is None

    async def _ask(self) -> None:
        try:
            await self._client.look()
        except (openai.APIConnectionError, httpx2.HTTPError):
            self.went_away()
            return
        except openai.APIStatusError as error:
            if error.status_code in DOWN:
                self.went_away()
                return
            if error.status_code == 401 and not read(error).about_scope:
                self.locked(f"The images server at {self._client.server} refused the key: check IMAGES_API_KEY.")
                return
        except (openai.OpenAIError, ValueError, NoPicture):
            pass
        self.trouble = self._look_at = None  # a server that does not list its models may still create images

    def went_away(self) -> None:
        """Record that the server failed or is unreachable: back off, twice as long each time."""
        now = self.clock()
        if self._look_at is None or now >= self._look_at:
            level = logging.WARNING if self._pause == AWAY[0] else logging.INFO  # warn only once
            log.log(level, "the images server at %s is away; next check in %.0f s", self._client.server, self._pause)
            self._look_at = now + self._pause
            self._pause = min(AWAY[1], self._pause * 2)

    def locked(self, reason: str) -> None:
        """Record that the server refused the key; `reason` is a sentence for the user."""
        self.trouble, self._look_at = reason, self.clock() + LOCKED

    def drew(self) -> None:
        """Record that the server sent an image."""
        self._pause = AWAY[0]
