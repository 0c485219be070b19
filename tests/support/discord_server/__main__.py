"""The double as a process of its own, with commands on its input: `python -m tests.support.discord_server`.

It prints its addresses, and an answer to each line: `{"threads": 200, "seconds": 10}` has so many people ask, each in
a channel of their own; `{}` asks for what came of it.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

from tests.support.discord_server import DiscordDouble, Rate, busiest
from tests.support.discord_server.state import Json, Message

DEFAULT_RATE = Rate(5, 5.0)
CHANNELS = 10  # of a server


@dataclass
class Crowd:
    """Users who ask, and the replies that they see."""

    double: DiscordDouble
    asked: list[tuple[Message, float]] = field(default_factory=list)

    async def ask(self, threads: int, seconds: float) -> Json:
        """So many questions, at random over a time."""
        await self.double.until(lambda: self.double.gateway.connected, seconds=60)
        ana, guild = self.double.person("Ana"), self.double.guild()
        channels = []
        for nth in range(threads):
            guild = guild if nth % CHANNELS else self.double.guild(f"Workshop {nth}")
            channels.append(self.double.channel(guild))
        await asyncio.sleep(1)  # the bot hears of them
        began = time.monotonic()
        chance = random.Random(1)
        moments = sorted(chance.uniform(0, seconds) for _ in channels)
        for moment, channel in zip(moments, channels, strict=True):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            at = time.monotonic()
            said = await self.double.say(channel, ana, f"{self.double.bot.mention} draw a sun")
            self.asked.append((said, at))
        return {"asked": threads}

    def tell(self) -> Json:
        """Every reply as it is now, how soon it began, and how much was asked of Discord."""
        replies = {
            str(asked.id): {
                "opened": asked.thread.opened - at if asked.thread else None,
                "first": asked.thread.writes[0].at - at if asked.thread and asked.thread.writes else None,
                "messages": [
                    [said.content, len(said.attachments), len(said.custom_ids)]
                    for said in (self.double.messages(asked.thread) if asked.thread else ())
                ],
                "busiest": busiest(asked.thread.writes) if asked.thread else 0,
            }
            for asked, at in self.asked
        }
        times = sorted(each.at for each in self.double.asked)
        most, begin = 0, 0
        for end, at in enumerate(times):
            while at - times[begin] >= 1:
                begin += 1
            most = max(most, end - begin + 1)
        return {"replies": replies, "requests": len(times), "most_a_second": most} | {
            "limited": self.double.rest.statuses[429]
        }


async def main() -> None:
    """Serve until the input ends."""
    async with DiscordDouble(rate=DEFAULT_RATE) as double:
        double.rest.contract = None  # it takes longer to judge a body than the bot needs to write it
        crowd = Crowd(double)
        print(json.dumps({"api": double.api_url, "gateway": double.gateway_url, "cdn": double.cdn_url}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            output = json.loads(line)
            print(json.dumps(await crowd.ask(**output) if output else crowd.tell()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
