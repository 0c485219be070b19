"""Cache of user profiles."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.groups import UserGroups
from adapters.slack.rate_limits import RateLimits
from bot.domain import Person

log = logging.getLogger(__name__)

CACHE_SECONDS = 600.0  # seconds that the name and the rights of a user are cached
MAX_USERS = 5_000  # users in the cache


class Users:
    """The users of a workspace, each cached for ten minutes."""

    def __init__(self, client: AsyncWebClient, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits
        self.groups = UserGroups(client, rate_limits)
        self._cache: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def person(self, user: str) -> Person:
        """Return the name and the roles of a user.

        If Slack does not answer: the cached values, or a user named `Somebody` with the roles of the user groups.
        """
        known = self._cache.get(user)
        if known is None or time.monotonic() - known[0] > CACHE_SECONDS:
            told = await self._fetch(user)
            if told is None:
                return parse.person(known[1] if known else {"id": user}, await self.groups.memberships(user))
            known = self._cache[user] = (time.monotonic(), {"id": user, **told})
            if len(self._cache) > MAX_USERS:
                del self._cache[next(iter(self._cache))]
        return parse.person(known[1], await self.groups.memberships(user))

    async def _fetch(self, user: str) -> Mapping[str, Any] | None:
        try:
            await self._rate_limits.acquire("users.info", "")
            return (await self._client.users_info(user=user)).get("user") or {}
        except API_ERRORS as error:
            log.info("could not read a user profile: %s", error_code(error))
            return None
