"""The double as a process of its own, with commands on its input: `python -m tests.support.slack_server`.

It prints its address, and an answer to each line: `{"threads": 200, "seconds": 300}` has so many people ask, ten in
a channel; `{}` asks for what came of it. Slack's tiers hold.
"""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field

from tests.support.slack_server import Channel, Message, SlackDouble, busiest
from tests.support.slack_server.faults import Call
from tests.support.slack_server.rates import SPECIAL, Tiers
from tests.support.slack_server.state import Json, parts

SIGNS = ("assistant.threads.setStatus", "chat.startStream", "chat.postMessage")
IN_A_CHANNEL = 10  # threads


@dataclass
class Counting(Tiers):
    """Enforced tiers, which count refusals."""

    enforced: bool = True
    refused: int = 0

    def spend(self, call: Call) -> int | None:
        """For how many seconds to wait, where it is one call too many."""
        seconds = super().spend(call)
        self.refused += seconds is not None
        return seconds


@dataclass
class Crowd:
    """Users who ask, and the replies that they see."""

    slack: SlackDouble
    tiers: Counting
    asked: list[tuple[Message, float]] = field(default_factory=list)

    async def ask(self, threads: int, seconds: float) -> Json:
        """So many questions, at random over a time."""
        await self.slack.until(lambda: self.slack.link.lines, seconds=60)
        ana = self.slack.person("Ana")
        channels = [self.slack.channel(f"workshop-{nth // IN_A_CHANNEL}") for nth in range(threads)]
        chance = random.Random(1)
        chance.shuffle(channels)
        began = time.monotonic()
        moments = sorted(chance.uniform(0, seconds) for _ in channels)
        for moment, channel in zip(moments, channels, strict=True):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            at = time.monotonic()
            said = await self.slack.say(channel, ana, f"{self.slack.bot.mention} draw a sun")
            self.asked.append((said, at))
        return {"asked": threads}

    def tell(self) -> Json:
        """Every reply as it is now, how soon it began, and how much was asked of Slack."""
        first, last = dict[tuple[str, str], float](), dict[tuple[str, str], float]()
        methods, posts = defaultdict[str, list[Call]](list), defaultdict[str, list[Call]](list)
        for call in self.slack.calls:
            methods[call.method].append(call)
            if call.method == "chat.postMessage":
                posts[call.channel].append(call)
            if "ts" in call.args:
                last[call.channel, str(call.args["ts"])] = call.at
            if call.method in SIGNS:
                channel = str(call.args.get("channel") or call.args.get("channel_id"))
                first.setdefault((channel, str(call.args.get("thread_ts"))), call.at)
                last[channel, str(call.args.get("thread_ts"))] = call.at
        replies = {
            f"{asked.channel.id}-{asked.ts}": {
                "first": first[asked.channel.id, asked.ts] - at if (asked.channel.id, asked.ts) in first else None,
                "last": max(
                    last.get((asked.channel.id, one.ts), at) - at
                    for one in (asked, *self._answers(asked.channel, asked.ts))
                ),
                "messages": [look(said) for said in self._answers(asked.channel, asked.ts)],
            }
            for asked, at in self.asked
        }
        busy = {
            name: [busiest(calls), self.tiers.rates[name].limit, len(calls)]
            for name, calls in sorted(methods.items())
            if name in self.tiers.rates and name != "chat.postMessage"
        }
        rate = SPECIAL["chat.postMessage"]
        most = max((busiest(calls, rate.seconds) for calls in posts.values()), default=0)
        posted = [most, rate.limit, sum(map(len, posts.values()))]
        return {"replies": replies, "methods": busy, "channel": posted, "limited": self.tiers.refused}

    def _answers(self, channel: Channel, ts: str) -> list[Message]:
        return [one for one in self.slack.messages(channel, ts) if one.author is self.slack.bot]


def look(message: Message) -> list[str]:
    """Return the text of a message and the types of its blocks."""
    words = [str(part["text"]) for part in parts(message.blocks) if part.get("type") == "markdown"]
    return ["\n".join(words) or message.text, *(str(block["type"]) for block in message.blocks)]


async def main() -> None:
    """Serve until the input ends."""
    async with SlackDouble() as slack:
        slack.web.contract = None  # it takes longer to judge a body than the bot needs to write it
        slack.web.tiers = tiers = Counting()
        crowd = Crowd(slack, tiers)
        print(json.dumps({"api": slack.api_url}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            output = json.loads(line)
            print(json.dumps(await crowd.ask(**output) if output else crowd.tell()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
