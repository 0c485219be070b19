"""How often a method may be called, as Slack's tiers say, and how often it was."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.slack_server.faults import Call

MINUTE = 60.0
PER_MINUTE = {"t1": 1, "t2": 20, "t3": 50, "t4": 100}
# The methods of the double; `t5` is "special", with a rule of its own below. Slack's method reference.
TIERS = {
    "agents.sessions.setStatus": "t3",
    "apps.connections.open": "t3",
    "assistant.threads.setStatus": "t5",
    "assistant.threads.setSuggestedPrompts": "t4",
    "assistant.threads.setTitle": "t4",
    "auth.test": "t5",
    "chat.appendStream": "t4",
    "chat.delete": "t3",
    "chat.postEphemeral": "t4",
    "chat.postMessage": "t5",
    "chat.startStream": "t2",
    "chat.stopStream": "t2",
    "chat.update": "t3",
    "conversations.history": "t3",
    "conversations.info": "t3",
    "conversations.members": "t4",
    "conversations.open": "t3",
    "conversations.replies": "t3",
    "files.completeUploadExternal": "t4",
    "files.delete": "t3",
    "files.getUploadURLExternal": "t4",
    "files.info": "t4",
    "reactions.add": "t3",
    "reactions.remove": "t2",
    "team.info": "t3",
    "usergroups.list": "t2",
    "usergroups.users.list": "t2",
    "users.info": "t4",
    "views.open": "t4",
    "views.publish": "t4",
    "views.push": "t4",
    "views.update": "t4",
}


@dataclass(frozen=True)
class Rate:
    """So many calls in so many seconds, of all or of each channel."""

    limit: int
    seconds: float = MINUTE
    of_channel: bool = False


SPECIAL = {
    "chat.postMessage": Rate(3, 3.0, of_channel=True),  # one a second in each channel, and short bursts
    "assistant.threads.setStatus": Rate(600),
    "auth.test": Rate(600),
}


@dataclass
class Tiers:
    """Who called how often, in windows that move along."""

    enforced: bool = False
    rates: dict[str, Rate] = field(
        default_factory=lambda: SPECIAL | {name: Rate(PER_MINUTE[t]) for name, t in TIERS.items() if t != "t5"}
    )
    _spent: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def spend(self, call: Call) -> int | None:
        """Count one call; return the seconds to wait if it exceeds the limit."""
        rate = self.rates.get(call.method)
        if rate is None or not self.enforced:
            return None
        window = self._spent.setdefault((call.method, call.channel if rate.of_channel else ""), deque())
        while window and call.at - window[0] >= rate.seconds:
            window.popleft()
        if len(window) >= rate.limit:
            return max(1, math.ceil(window[0] + rate.seconds - call.at))
        window.append(call.at)
        return None


def busiest(calls: Iterable[Call], seconds: float = MINUTE) -> int:
    """The most calls in any span of so many seconds."""
    times = sorted(call.at for call in calls)
    return max((sum(begin <= at < begin + seconds for at in times) for begin in times), default=0)
