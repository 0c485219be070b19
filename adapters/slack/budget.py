"""How often each method may be called: Slack counts per method and workspace, and posts per channel as well."""

from collections import defaultdict

from aiolimiter import AsyncLimiter

# Calls a minute, a little below what Slack allows; docs.slack.dev, rate limits, and each method's page
_A_MINUTE = {
    "chat.startStream": 18,
    "chat.stopStream": 18,
    "chat.update": 45,
    "chat.delete": 45,
    "conversations.replies": 45,
    "conversations.history": 45,
    "agents.sessions.setStatus": 45,
    "chat.appendStream": 90,
    "chat.postEphemeral": 90,
    "files.getUploadURLExternal": 90,
    "files.completeUploadExternal": 90,
    "files.info": 90,
    "users.info": 90,
    "views.publish": 90,
    "assistant.threads.setStatus": 90,
}
_A_CHANNEL = (5, 5.0)  # posts in seconds: one a second, with short bursts


class Budget:
    """What is left to each method of a workspace. Progress is shown with what is over; what must be said waits."""

    def __init__(self) -> None:
        self._methods: dict[tuple[str, str], AsyncLimiter] = {}
        self._channels: defaultdict[str, AsyncLimiter] = defaultdict(lambda: AsyncLimiter(*_A_CHANNEL))

    def _limiter(self, method: str, team: str, channel: str) -> AsyncLimiter:
        if method == "chat.postMessage":
            return self._channels[channel]
        key = (method, team)
        if key not in self._methods:
            self._methods[key] = AsyncLimiter(_A_MINUTE[method], 60)
        return self._methods[key]

    def has(self, method: str, team: str, channel: str = "", share: float = 1.0) -> bool:
        """Whether it may be called now; a `share` below 1 leaves the rest to what must be said."""
        limiter = self._limiter(method, team, channel)
        return limiter.has_capacity(1 + limiter.max_rate * (1 - share))

    async def take(self, method: str, team: str, channel: str = "") -> None:
        """Wait until it may be called."""
        await self._limiter(method, team, channel).acquire()
