"""The run: a crowd asks for pictures, and bot and engine are killed at random until all are there."""

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bot.config import DATABASE
from tests.support.chaos.bot import PICTURES
from tests.support.chaos.chat_server import ChatServer, Question
from tests.support.chaos.evidence import Evidence, Kill, jobs
from tests.support.chaos.processes import BotProcess, Engine, Victim

CROWD = ("greedy", "ann", "bob", "cid", "dan")
LONER = Question("loner-0", "loner", 1)
STALLED = 90.0  # seconds without a new picture
AT_ONCE = 1 / 6  # share of kills that do not wait until work goes on again
MOMENT = 0.5  # seconds within which a kill falls after what it waits for: a batch, roughly
MOST_FAULTS = 2  # crashes over a job at which the engine is spared: at the third it is given up, and rightly so


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of it: `jobs` pictures in all, `kills` in all, the share of answers that are `lost`."""

    jobs: int = 60
    kills: int = 10
    lost: float = 0.1
    seed: int = 20231012

    @classmethod
    def from_environment(cls) -> Self:
        """JOBS, KILLS, LOST and SEED."""
        settings, defaults = os.environ, cls()
        return cls(
            int(settings.get("JOBS") or defaults.jobs),
            int(settings.get("KILLS") or defaults.kills),
            float(settings.get("LOST") or defaults.lost),
            int(settings.get("SEED") or defaults.seed),
        )


def crowd(pictures: int, rng: random.Random) -> list[Question]:
    """What they ask for, in any order: half of it is one person's, the others share the rest."""
    others = CROWD[1:]
    rest = pictures - pictures // 2
    shares = [pictures // 2, *(rest // len(others) + (nth < rest % len(others)) for nth in range(len(others)))]
    questions = []
    for person, share in zip(CROWD, shares, strict=True):
        nth, left = 0, share
        while left:
            count = min(left, rng.randint(1, 4))
            questions.append(Question(f"{person}-{nth}", person, count))
            nth, left = nth + 1, left - count
    rng.shuffle(questions)
    return questions


async def chaos(engine: Engine, folder: Path, sizes: Sizes) -> Evidence:
    """Let it happen; nothing is checked but that the work gets on."""
    rng = random.Random(sizes.seed)
    chat = ChatServer(random.Random(sizes.seed + 1), sizes.lost)
    await chat.start()
    bot = BotProcess(folder, chat.url, engine)
    run = Run(sizes, chat, bot, engine, rng)
    began = time.monotonic()
    try:
        await asyncio.gather(bot.start(), engine.start())
        await run.see_through()
    finally:
        await bot.stop()
        await engine.stop()
        await chat.stop()
    return Evidence(
        said=chat.said,
        replies=chat.replies,
        jobs=jobs(bot.data_dir / DATABASE),
        renders=engine.log,
        pictures=bot.data_dir / PICTURES,
        kills=run.kills,
        deliveries=chat.deliveries,
        answers_lost=chat.answers_lost,
        seconds=time.monotonic() - began,
    )


class Run:
    """What happens, in order."""

    def __init__(self, sizes: Sizes, chat: ChatServer, bot: BotProcess, engine: Engine, rng: random.Random) -> None:
        self._sizes = sizes
        self._chat = chat
        self._bot = bot
        self._engine = engine
        self._rng = rng
        self._record = bot.data_dir / DATABASE
        self.kills: list[Kill] = []

    async def see_through(self) -> None:
        """The first half of the crowd asks at once; the rest, and in its midst the loner, between the first kills."""
        sizes, questions = self._sizes, crowd(self._sizes.jobs - 1, self._rng)
        half = len(questions) // 2
        await self._chat.say(questions[:half])
        late, middle = questions[half:], max(1, sizes.kills // 2)
        for nth in range(sizes.kills):
            if nth == 0 or self._rng.random() > AT_ONCE:
                await self._posted(max(self._chat.posted + 1, 0.9 * sizes.jobs * nth / sizes.kills))
            if nth < middle:
                await self._chat.say(late[len(late) * nth // middle : len(late) * (nth + 1) // middle])
            if nth == middle - 1:
                await self._chat.say([LONER])
            await asyncio.sleep(self._rng.uniform(0, MOMENT))
            await self._strike()
        await self._posted(sizes.jobs)
        await self._recorded()

    async def _posted(self, count: float) -> None:
        """Wait until so many pictures are to be seen, but no more than were asked for yet."""
        asked = sum(question.count for question in self._chat.said)
        try:
            async with asyncio.timeout(STALLED):
                await self._chat.until(min(count, asked))
        except TimeoutError:
            stuck = [job for job in jobs(self._record) if job.state != "posted"]
            raise AssertionError(f"{self._chat.posted} pictures, and no new one for {STALLED} s: {stuck}") from None

    async def _strike(self) -> None:
        """Kill somebody, or both, and have them start again."""
        both: list[Victim] = [self._bot, self._engine]
        victims = self._rng.sample(both, self._rng.choice((1, 1, 2)))
        if any(job.faults >= MOST_FAULTS and job.state in ("queued", "running") for job in jobs(self._record)):
            victims = [self._bot]
        self.kills.append(Kill(time.time(), self._bot in victims, self._engine in victims))
        for victim in victims:
            await victim.kill()
        await asyncio.gather(*(victim.start() for victim in victims))

    async def _recorded(self) -> None:
        """The bot writes down that a reply is final only after it is."""
        async with asyncio.timeout(STALLED):
            while any(job.state != "posted" for job in jobs(self._record)):
                await asyncio.sleep(MOMENT)  # it is another process's table: there is nothing to wait for
