"""Which user groups people are in, as Slack tells and as it is remembered for a while: they count as roles."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.budget import Budget
from adapters.slack.faults import FAULTS, code

log = logging.getLogger(__name__)

KNOWN = 600.0  # seconds for which it is believed, though Slack tells of changes
AGAIN = 30.0  # seconds until Slack is asked again where it did not answer
NONE = ("missing_scope", "plan_upgrade_required")  # there are no groups for this bot, and it need not ask soon


class Groups:
    """The user groups of a workspace."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget
        self._of: Mapping[str, frozenset[str]] = {}
        self._until = float("-inf")
        self._asking = asyncio.Lock()

    async def of(self, user: str) -> frozenset[str]:
        """The groups that somebody is in, each by its id and by its handle as in `@designers`."""
        if time.monotonic() >= self._until:
            async with self._asking:
                if time.monotonic() >= self._until:
                    await self._ask()
        return self._of.get(user, frozenset())

    def changed(self) -> None:
        """Slack told that a group is not what it was."""
        self._until = float("-inf")

    async def _ask(self) -> None:
        """What Slack does not tell stays as it was."""
        self._until = time.monotonic() + KNOWN  # before it answers: what changes meanwhile is asked for again
        try:
            await self._budget.take("usergroups.list", "")
            told = await self._client.usergroups_list(include_users=True)
            self._of = members(told.get("usergroups") or ())
        except FAULTS as error:
            log.info("Slack does not tell of user groups: %s", code(error))
            if code(error) not in NONE:
                self._until = time.monotonic() + AGAIN


def members(groups: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """What each person is in, from what `usergroups.list` tells. Pure."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        if group.get("date_delete"):  # switched off
            continue
        names = {str(group.get("id") or ""), f"@{group.get('handle') or ''}"} - {"", "@"}
        for user in group.get("users") or ():
            found[str(user)] |= names
    return {user: frozenset(names) for user, names in found.items()}
