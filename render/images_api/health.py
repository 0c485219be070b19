"""Whether an images server is available and accepts the key; the server is checked again only after a failure."""

import logging
import time

import httpx2
import openai

from bot.notices import Notice, notice
from render.images_api.api_errors import read_error
from render.images_api.client import ImagesClient, NoImageError

log = logging.getLogger(__name__)

RETRY_PAUSE_RANGE = (1.0, 60.0)  # seconds before a server that failed is checked again: the first pause, the longest
KEY_RETRY_PAUSE = 60.0  # seconds before a server that refused the key is checked again
DOWN_STATUSES = (500, 502, 503, 504)


class ServerHealth:
    """The availability of one images server; unknown before the first check."""

    def __init__(self, client: ImagesClient) -> None:
        self._client = client
        self.clock = time.monotonic
        self.error: Notice | None = None  # why every request fails, for the user
        self._next_check: float | None = float("-inf")  # time of the next check; None while the server is available
        self._pause = RETRY_PAUSE_RANGE[0]

    async def is_available(self) -> bool:
        """Whether the server is available now. Sends a request only at first and after a failure."""
        if self._next_check is not None and self.clock() >= self._next_check:
            await self._check_server()
        return self._next_check is None

    async def _check_server(self) -> None:
        try:
            await self._client.check_server()
        except (openai.APIConnectionError, httpx2.HTTPError):
            self.mark_unavailable()
            return
        except openai.APIStatusError as error:
            if error.status_code in DOWN_STATUSES:
                self.mark_unavailable()
                return
            if error.status_code == 401 and not read_error(error).is_about_scope:
                self.mark_key_refused(notice("images-api-key-refused", server=self._client.server))
                return
        except (openai.OpenAIError, ValueError, NoImageError):
            pass
        self.error = self._next_check = None  # a server that does not list its models may still create images

    def mark_unavailable(self) -> None:
        """Record that the server failed or is unreachable: back off, twice as long each time."""
        now = self.clock()
        if self._next_check is None or now >= self._next_check:
            level = logging.WARNING if self._pause == RETRY_PAUSE_RANGE[0] else logging.INFO  # warn only once
            log.log(level, "the images server at %s is away; next check in %.0f s", self._client.server, self._pause)
            self._next_check = now + self._pause
            self._pause = min(RETRY_PAUSE_RANGE[1], self._pause * 2)

    def mark_key_refused(self, reason: Notice) -> None:
        """Record that the server refused the key; `reason` is a sentence for the user."""
        self.error, self._next_check = reason, self.clock() + KEY_RETRY_PAUSE

    def mark_success(self) -> None:
        """Record that the server sent an image."""
        self._pause = RETRY_PAUSE_RANGE[0]
