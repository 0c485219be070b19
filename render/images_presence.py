"""Whether an images server is there and takes the key, by what it said last; asked again only after it did not."""

import logging
import time

import httpx2
import openai

from render.images_client import ImagesClient, NoPicture
from render.images_refusals import read

log = logging.getLogger(__name__)

AWAY = (1.0, 60.0)  # seconds before a server that broke down is tried again: the first time, at most
LOCKED = 60.0  # seconds before one that refused the key is tried again
DOWN = (500, 502, 503, 504)


class Presence:
    """Before the first question nothing is known."""

    def __init__(self, client: ImagesClient) -> None:
        self._client = client
        self.clock = time.monotonic
        self.trouble: str | None = None  # why no picture will come
        self._look_at: float | None = float("-inf")  # when to look whether it is there; None while it is
        self._pause = AWAY[0]

    async def look(self) -> bool:
        """Whether pictures can be asked for now. While all is well, nothing is sent."""
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
        self.trouble = self._look_at = None  # a server that lists no models, or not to this key, may draw all the same

    def went_away(self) -> None:
        """It broke down or cannot be reached: it is left alone, each time for longer."""
        now = self.clock()
        if self._look_at is None or now >= self._look_at:
            level = logging.WARNING if self._pause == AWAY[0] else logging.INFO  # that it goes on is no news
            log.log(level, "the images server at %s is left alone for %.0f s", self._client.server, self._pause)
            self._look_at = now + self._pause
            self._pause = min(AWAY[1], self._pause * 2)

    def locked(self, reason: str) -> None:
        """It refused the key."""
        self.trouble, self._look_at = reason, self.clock() + LOCKED

    def drew(self) -> None:
        """A picture came."""
        self._pause = AWAY[0]
