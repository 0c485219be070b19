"""How often each method may be called: Slack counts per method and workspace, and posts per channel as well."""

import asyncio
from collections import defaultdict, deque

# Calls, a little below what Slack allows in a minute; docs.slack.dev, rate limits, and each method's page
_OF_METHODS = {
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
_MINUTE = 64.0  # seconds: a bit longer, for of many requests at once the last ones arrive late
_A_CHANNEL = (3, 4.0)  # posts in seconds: one a second, short bursts; a bit longer, for requests overtake each other


class Window:
    """So many in any span of so many seconds, in the order in which they come."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._times: deque[float] = deque(maxlen=most)
        self._turn = asyncio.Lock()

    def has(self, share: float) -> bool:
        """Whether nobody waits, and less than this share of it is spent."""
        now = asyncio.get_running_loop().time()
        spent = sum(now - at < self._seconds for at in self._times)
        return not self._turn.locked() and spent + 1 <= self._most * share

    async def acquire(self) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if len(self._times) == self._most:
                await asyncio.sleep(self._times[0] + self._seconds - loop.time())
            self._times.append(loop.time())


class Budget:
    """What is left to each method of a workspace. Progress is shown with what is over; what must be said waits."""

    def __init__(self) -> None:
        self._methods: dict[tuple[str, str], Window] = {}
        self._channels: defaultdict[str, Window] = defaultdict(lambda: Window(*_A_CHANNEL))

    def _window(self, method: str, team: str, channel: str) -> Window:
        if method == "chat.postMessage":
            return self._channels[channel]
        key = (method, team)
        if key not in self._methods:
            self._methods[key] = Window(_OF_METHODS[method], _MINUTE)
        return self._methods[key]

    def has(self, method: str, team: str, channel: str = "", share: float = 1.0) -> bool:
        """Whether it may be called now; a `share` below 1 leaves the rest to what must be said."""
        return self._window(method, team, channel).has(share)

    async def take(self, method: str, team: str, channel: str = "") -> None:
        """Wait until it may be called."""
        await self._window(method, team, channel).acquire()
