"""Rate limits of Slack's API: calls per method and workspace, and posts per channel."""

from collections import defaultdict

from adapters.rate_limit import RateLimiter

# Calls a minute, a little below the limits of Slack; docs.slack.dev, rate limits, and the page of each method
_CALLS_PER_MINUTE = {
    "chat.startStream": 19,
    "chat.stopStream": 19,
    "chat.update": 48,
    "chat.delete": 48,
    "conversations.replies": 48,
    "conversations.history": 48,
    "agents.sessions.setStatus": 48,
    "chat.appendStream": 96,
    "chat.postEphemeral": 96,
    "files.getUploadURLExternal": 96,
    "files.completeUploadExternal": 96,
    "files.info": 96,
    "users.info": 96,
    "usergroups.list": 18,
    "views.publish": 96,
    "assistant.threads.setStatus": 540,
}
_MINUTE = 64.0  # seconds; longer than a minute, because the last of many simultaneous requests arrive late
_POSTS_PER_CHANNEL = (3, 4.0)  # posts, seconds: one a second with bursts; 4 s because requests may overtake


class RateLimits:
    """The rate limits of a workspace. Progress updates are skipped if a limit is near; necessary calls wait."""

    def __init__(self) -> None:
        self._methods: dict[tuple[str, str], RateLimiter] = {}
        self._channels: defaultdict[str, RateLimiter] = defaultdict(lambda: RateLimiter(*_POSTS_PER_CHANNEL))

    def _limiter(self, method: str, team: str, channel: str) -> RateLimiter:
        if method == "chat.postMessage":
            return self._channels[channel]
        key = (method, team)
        if key not in self._methods:
            self._methods[key] = RateLimiter(_CALLS_PER_MINUTE[method], _MINUTE)
        return self._methods[key]

    def allows(self, method: str, team: str, channel: str = "", share: float = 1.0) -> bool:
        """Return whether the method may be called now; a `share` below 1 reserves the rest for necessary calls."""
        return self._limiter(method, team, channel).has_room(share)

    async def acquire(self, method: str, team: str, channel: str = "") -> None:
        """Wait until the method may be called, and count the call."""
        await self._limiter(method, team, channel).acquire()
