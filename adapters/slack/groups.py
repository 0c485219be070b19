"""Cache of the user groups that users belong to; user groups count as roles."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api_errors import FAULTS, code
from adapters.slack.rate_limits import Budget

log = logging.getLogger(__name__)

KNOWN = 600.0  # seconds that the memberships are cached; Slack also sends events about changes
AGAIN = 30.0  # seconds until the next try after an error
NONE = ("missing_scope", "plan_upgrade_required")  # the bot cannot read user groups: no early retry


class Groups:
    """The user groups of a workspace, cached for ten minutes."""

    def __init__(self, client: AsyncWebClient, budget: Budget) -> None:
        self._client = client
        self._budget = budget
        self._of: Mapping[str, frozenset[str]] = {}
        self._until = float("-inf")
        self._asking = asyncio.Lock()

    async def of(self, user: str) -> frozenset[str]:
        """Return the groups of a user: for each group its id and its handle, as in `@designers`."""
        if time.monotonic() >= self._until:
            async with self._asking:
                if time.monotonic() >= self._until:
                    await self._ask()
        return self._of.get(user, frozenset())

    def changed(self) -> None:
        """Read the groups again the next time, because Slack reported a change."""
        self._until = float("-inf")

    async def _ask(self) -> None:
        """Read all groups; if that fails, the memberships stay as they are."""
        self._until = time.monotonic() + KNOWN  # set before the call: a change during the call resets it
        try:
            await self._budget.take("usergroups.list", "")
            told = await self._client.usergroups_list(include_users=True)
            self._of = members(told.get("usergroups") or ())
        except FAULTS as error:
            log.info("could not read the user groups: %s", code(error))
            if code(error) not in NONE:
                self._until = time.monotonic() + AGAIN


def members(groups: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return the group ids and handles of each user, from the groups of a `usergroups.list` response. Pure."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        if group.get("date_delete"):  # a disabled group
            continue
        names = {str(group.get("id") or ""), f"@{group.get('handle') or ''}"} - {"", "@"}
        for user in group.get("users") or ():
            found[str(user)] |= names
    return {user: frozenset(names) for user, names in found.items()}
