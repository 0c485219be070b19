"""Who people are, as Slack tells and as it is remembered for a while."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.budget import Budget
from adapters.slack.faults import FAULTS, code
from adapters.slack.groups import Groups
from bot.domain import Person

log = logging.getLogger(__name__)

KNOWN = 600.0  # seconds for which a person's name and rights are believed
MOST = 5_000  # people who are remembered


class People:
    """The people of a workspace."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget
        self.groups = Groups(client, budget)
        self._known: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def person(self, user: str) -> Person:
        """Who it is; in a direct conversation they manage what is theirs. A stranger if Slack does not tell."""
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
            log.info("Slack does not tell who somebody is: %s", code(error))
            return None
