"""Cache of the user groups that users belong to; user groups count as roles."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.rate_limits import RateLimits

log = logging.getLogger(__name__)

CACHE_SECONDS = 600.0  # seconds that the memberships are cached; Slack also sends events about changes
RETRY_SECONDS = 30.0  # seconds until the next try after an error
UNAVAILABLE = ("missing_scope", "plan_upgrade_required")  # the bot cannot read user groups: no early retry


class UserGroups:
    """The user groups of a workspace, cached for ten minutes."""

    def __init__(self, client: AsyncWebClient, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits
        self._memberships: Mapping[str, frozenset[str]] = {}
        self._expires = float("-inf")
        self._asking = asyncio.Lock()

    async def memberships(self, user: str) -> frozenset[str]:
        """Return the groups of a user: for each group its id and its handle, as in `@designers`."""
        if time.monotonic() >= self._expires:
            async with self._asking:
                if time.monotonic() >= self._expires:
                    await self._refresh()
        return self._memberships.get(user, frozenset())

    def invalidate(self) -> None:
        """Read the groups again the next time, because Slack reported a change."""
        self._expires = float("-inf")

    async def _refresh(self) -> None:
        """Read all groups; if that fails, the memberships stay as they are."""
        self._expires = time.monotonic() + CACHE_SECONDS  # set before the call: a change during the call resets it
        try:
            await self._rate_limits.acquire("usergroups.list", "")
            told = await self._client.usergroups_list(include_users=True)
            self._memberships = memberships_by_user(told.get("usergroups") or ())
        except API_ERRORS as error:
            log.info("could not read the user groups: %s", error_code(error))
            if error_code(error) not in UNAVAILABLE:
                self._expires = time.monotonic() + RETRY_SECONDS


def memberships_by_user(groups: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return the group ids and handles of each user, from the groups of a `usergroups.list` response. Pure."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        if group.get("date_delete"):  # a disabled group
            continue
        names = {str(group.get("id") or ""), f"@{group.get('handle') or ''}"} - {"", "@"}
        for user in group.get("users") or ():
            found[str(user)] |= names
    return {user: frozenset(names) for user, names in found.items()}
