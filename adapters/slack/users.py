"""Cache of user profiles."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.api_errors import FAULTS, code
from adapters.slack.groups import Groups
from adapters.slack.rate_limits import Budget
from bot.domain import Person

log = logging.getLogger(__name__)

KNOWN = 600.0  # seconds that the name and the rights of a user are cached
MOST = 5_000  # users in the cache


class People:
    """The users of a workspace, each cached for ten minutes."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget
        self.groups = Groups(client, budget)
        self._known: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def person(self, user: str) -> Person:
        """Return the name and the roles of a user.

        If Slack does not answer: the cached values, or a user named `Somebody` with the roles of the user groups.
        """
        known = self._known.get(user)
        if known is None or time.monotonic() - known[0] > KNOWN:
            told = await self._ask(user)
            if told is None:
                return parse.person(known[1] if known else {"id": user}, await self.groups.of(user))
            known = self._known[user] = (time.monotonic(), {"id": user, **told})
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]
        return parse.person(known[1], await self.groups.of(user))

    async def _ask(self, user: str) -> Mapping[str, Any] | None:
        try:
            await self._budget.take("users.info", "")
            return (await self._client.users_info(user=user)).get("user") or {}
        except FAULTS as error:
            log.info("could not read a user profile: %s", code(error))
            return None
