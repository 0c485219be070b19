"""Cache of the users of a workspace: their profiles, and their user groups, which count as roles."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import parse
from adapters.slack.api_errors import API_ERRORS, error_code
from adapters.slack.rate_limits import RateLimits
from bot.domain import Person

log = logging.getLogger(__name__)

CACHE_SECONDS = 600.0  # seconds that a profile and the user groups are cached; Slack sends events about groups
RETRY_SECONDS = 30.0  # seconds until the user groups are read again after an error
UNAVAILABLE = ("missing_scope", "plan_upgrade_required")  # the bot cannot read user groups: no early retry
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
            profile = await self._fetch(user)
            if profile is None:
                return parse.person(known[1] if known else {"id": user}, await self.groups.memberships(user))
            known = self._cache[user] = (time.monotonic(), {"id": user, **profile})
            if len(self._cache) > MAX_USERS:
                del self._cache[next(iter(self._cache))]
        return parse.person(known[1], await self.groups.memberships(user))

    async def _fetch(self, user: str) -> Mapping[str, Any] | None:
        try:
            await self._rate_limits.acquire("users.info", "")
            return (await self._client.users_info(user=user, include_locale=True)).get("user") or {}
        except API_ERRORS as error:
            log.info("could not read a user profile: %s", error_code(error))
            return None


class UserGroups:
    """The user groups of a workspace, cached for ten minutes."""

    def __init__(self, client: AsyncWebClient, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits
        self._memberships: Mapping[str, frozenset[str]] = {}
        self._expires = float("-inf")
        self._refreshing = asyncio.Lock()

    async def memberships(self, user: str) -> frozenset[str]:
        """Return the groups of a user: for each group its id and its handle, as in `@designers`."""
        if time.monotonic() >= self._expires:
            async with self._refreshing:
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
            response = await self._client.usergroups_list(include_users=True)
            self._memberships = memberships_by_user(response.get("usergroups") or ())
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
