"""What is left of a run, what must hold of it, and its figures."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from PIL import Image

from tests.support.chaos.bot import CLOSING, OPENING
from tests.support.chaos.chat_server import Question, pictures

MOST_WASTED = 0.10  # of the jobs, or two batches where that is more: each kill may hit one that is just made
MOST_BATCHES = 2  # that may come before somebody who asks for a single picture


@dataclass(frozen=True, slots=True)
class Kill:
    """Who was killed, and when, in seconds since 1970."""

    at: float
    bot: bool
    engine: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the bot's table of jobs. Times are in seconds since 1970."""

    id: str
    number: int
    owner: str
    seed: int
    state: str
    attempt: int
    faults: int
    ordered: float
    ended: float | None


@dataclass(slots=True)
class Batch:
    """What FLAT_LOG tells of a batch. `trial`: of a single picture, which was in a batch before that was cut."""

    began: float
    tasks: tuple[str, ...]
    trial: bool
    last: float  # when something was heard of it
    made: list[str] = field(default_factory=list)


def jobs(record: Path) -> list[Job]:
    """The table as it is now, read beside a bot that may be writing."""
    with closing(sqlite3.connect(f"file:{record}?mode=ro", uri=True)) as db:
        return [Job(*row) for row in db.execute(
            "SELECT id, number, owner, request ->> '$.sampling.seed', state, attempt, faults, ordered, ended FROM jobs"
            " ORDER BY id"
        )]  # fmt: skip


def batches(log: Path) -> list[Batch]:
    """The batches of all workers in the order in which they began."""
    found: list[Batch] = []
    newest: dict[str, Batch] = {}  # by task
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if tasks := record.get("tasks"):
            found.append(Batch(record["t"], tuple(tasks), len(tasks) == 1 and tasks[0] in newest, record["t"]))
            newest |= dict.fromkeys(tasks, found[-1])
            continue
        batch = newest[record.get("made") or record["of"][0]]
        batch.last = record["t"]
        batch.made += [record["made"]] if "made" in record else []
    return found


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both sides' records. `replies` are all views that reached the chat server, in order, by question."""

    said: Sequence[Question]
    replies: dict[str, list[dict[str, Any]]]
    jobs: Sequence[Job]
    renders: Path
    pictures: Path
    kills: Sequence[Kill]
    deliveries: int
    answers_lost: int
    seconds: float

    def check(self) -> None:
        """All that must hold after a run."""
        self.check_nothing_is_lost()
        self.check_nothing_is_said_twice()
        self.check_pictures_are_what_was_asked_for()
        self.check_little_is_wasted()
        self.check_the_loner_is_served_soon()

    def check_nothing_is_lost(self) -> None:
        """Each picture that was asked for has one job, which is posted, and stands once in its reply."""
        wanted = sorted(f"{question.id}.{nth}" for question in self.said for nth in range(question.count))
        assert sorted(job.id for job in self.jobs) == wanted, "the table does not hold one job for each picture"
        others = [job for job in self.jobs if job.state != "posted"]
        assert not others, f"{len(others)} jobs are not posted: {others}"
        shown = Counter(part["job"] for reply in self.replies.values() for part in pictures(reply[-1]))
        assert shown == Counter(wanted), f"missing or twice on the chat server: {_difference(shown, Counter(wanted))}"
        numbers = {question.id: list(range(1, question.count + 1)) for question in self.said}
        seen = {question: [part["number"] for part in pictures(reply[-1])] for question, reply in self.replies.items()}
        assert seen == numbers, (
            f"numbers that are not 1, 2, ...: {[each for each in seen.items() if each[1] != numbers[each[0]]]}"
        )

    def check_nothing_is_said_twice(self) -> None:
        """Each message has one reply, of which there is one final shape, and its words stand in it once."""
        asked = [question.id for question in self.said]
        assert sorted(self.replies) == sorted(asked), (
            f"{set(self.replies) ^ set(asked)} have a reply or a message too many"
        )
        for question, reply in self.replies.items():
            shapes = {json.dumps(view, sort_keys=True) for view in reply if view["final"]}
            assert len(shapes) == 1, f"{question} ended in {len(shapes)} ways: {shapes}"
            assert reply[-1]["final"], f"{question} was final, and is not any more"
            words = [part["words"] for part in reply[-1]["parts"] if "words" in part]
            assert words == [OPENING, CLOSING], f"{question} was answered {words}"
            assert not reply[-1]["status"], f"{question} ended with {reply[-1]['status']!r}"

    def check_pictures_are_what_was_asked_for(self) -> None:
        """Each picture that is shown is a whole file, painted for its own job."""
        seeds = {job.id: job.seed for job in self.jobs}
        for reply in self.replies.values():
            for part in pictures(reply[-1]):
                path = self.pictures / f"{part['digest']}.png"
                assert hashlib.sha256(path.read_bytes()).hexdigest() == part["digest"], f"{path} is damaged"
                with Image.open(path) as image:
                    painted = image.info["Seed"]
                assert painted == str(seeds[part["job"]]), f"{part['job']} shows somebody else's picture"

    def check_little_is_wasted(self) -> None:
        """Few pictures are rendered again."""
        wasted, most = self.made() - len(self.jobs), max(MOST_WASTED * len(self.jobs), 2 * self._full() + 1)
        assert wasted < most, f"{wasted} pictures were made twice for {len(self.jobs)} jobs, {most:.0f} are too many"

    def check_the_loner_is_served_soon(self) -> None:
        """Whoever asks for a single picture does not wait until the crowd is served.

        What a crash may have been due to is tried alone: such a picture counts as its share of a full batch.
        """
        before = self.before_the_loner()
        earlier = [(round(batch.began, 2), batch.trial, batch.made) for batch in before]
        assert self.waited(before) <= MOST_BATCHES, f"{self.waited(before)} batches came before the loner's: {earlier}"

    def waited(self, before: Sequence[Batch]) -> float:
        """How much these are, in batches."""
        return sum(1 / self._full() if batch.trial else 1 for batch in before)

    def before_the_loner(self) -> list[Batch]:
        """The batches that made something between the loner's order and the batch of his picture."""
        loner = min(self.jobs, key=lambda job: sum(other.owner == job.owner for other in self.jobs))
        ran = batches(self.renders)
        own = next(batch for batch in ran if loner.id in batch.made)
        return [batch for batch in ran if batch.made and batch.last > loner.ordered and batch.began < own.began]

    def table(self) -> str:
        """The figures."""
        ran, alone = batches(self.renders), self.before_the_loner()
        whole = [len(batch.made) for batch in ran if batch.made]
        waits = {job.owner: job.ended - job.ordered for job in self.jobs if job.ended}
        seconds = [job.ended - job.ordered for job in self.jobs if job.ended]
        rows = {
            "jobs": len(self.jobs),
            "messages, deliveries": f"{len(self.said)}, {self.deliveries}",
            "answers lost": self.answers_lost,
            "attempts": sum(job.attempt for job in self.jobs),
            "kills": len(self.kills),
            "kills of the bot": sum(kill.bot for kill in self.kills),
            "kills of the engine": sum(kill.engine for kill in self.kills),
            "renders made": self.made(),
            "wasted": f"{self.made() / len(self.jobs) - 1:.1%}",
            "batches, cut, trials": f"{len(ran)}, {len(ran) - len(whole)}, {sum(batch.trial for batch in ran)}",
            "mean size of a batch": f"{mean(whole):.2f}",
            "wait of the loner": f"{self.waited(alone)} batches ({len(alone)} with trials), {waits['loner']:.1f} s",
            "wait of all, median": f"{median(seconds):.1f} s",
            "wait of all, longest": f"{max(seconds):.1f} s",
            "seconds": f"{self.seconds:.0f}",
        }
        return "\n".join(f"{name:<24}{value}" for name, value in rows.items())

    def made(self) -> int:
        """How many pictures were rendered, again or not."""
        return sum(len(batch.made) for batch in batches(self.renders))

    def _full(self) -> int:
        return max(len(batch.tasks) for batch in batches(self.renders))


def _difference(one: Counter[str], other: Counter[str]) -> dict[str, int]:
    return {key: one[key] - other[key] for key in one | other if one[key] != other[key]}
