"""The operator's view of the line, read from the database alone."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from bot.__main__ import main
from bot.cli import queue as queue_command
from bot.cli.queue_table import format_duration
from bot.config import DATABASE
from bot.domain import Failed, ImageRequest, Message, Operation, Person, RenderJob, Sampling, ThreadKey, View
from bot.notices import notice
from bot.storage.store import Store
from tests.support.doubles import picture
from tests.support.paths import ROOT

ANN, BOB = Person("ann", "Ann"), Person("bob", "[red]Bob\x1b[2J")
LONG = "a red circle on a lonely beach, " * 4


class Bot:
    """A database as the bot has it open, and the command in another hand."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = Store(folder / DATABASE)
        self._capsys = capsys

    def order(self, message_id: str, author: Person, count: int = 1, operation: Operation = Operation.GENERATE) -> None:
        """So many pictures in reply to one message."""
        self.store.accept(Message(message_id, ThreadKey("web", "local", "page", "t1"), author, "draw"))
        for key in range(count):
            self.store.jobs.order(message_id, ImageRequest(key, operation, LONG), None)

    def claim(self, *ids: str, cost: float = 2.0) -> list[RenderJob]:
        """Have these run in one batch."""
        attempts = self.store.jobs.claim("batch", dict.fromkeys(ids, cost))
        thread = ThreadKey("web", "local", "page", "t1")
        return [
            RenderJob(
                row.id,
                thread,
                row.number,
                row.owner,
                ImageRequest(0, Operation.GENERATE, "", sampling=Sampling(seed=0)),
                attempt=attempts[row.id],
            )
            for row in self.store.jobs.find(ids)
        ]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output and complaints of the command."""
        status = main(["queue", *arguments])
        return (status, *self._capsys.readouterr())

    def json(self, *arguments: str) -> Any:
        """What a script gets."""
        status, out, _ = self.run("--json", *arguments)
        assert status == 0
        return json.loads(out)

    def states(self) -> dict[str, str]:
        """The state of every job of the messages m1 and m2."""
        ids = [f"{message}.{key}" for message in ("m1", "m2") for key in range(4)]
        return {row.id: row.state for row in self.store.jobs.find(ids)}


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """A bot whose folder is set in the environment."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # where nobody's `.env` is
    there = Bot(tmp_path, capsys)
    yield there
    there.store.close()


def test_the_line_is_in_the_order_of_the_policy(bot: Bot) -> None:
    """People take turns although one asked first for several; what runs comes first; nothing is written."""
    bot.order("m0", ANN)
    bot.claim("m0.0")
    bot.order("m1", ANN, 3)
    bot.order("m2", BOB)
    changed = bot.store.watch_changes()
    line = bot.json()
    assert not changed()
    assert [job["id"] for job in line["running"]] == ["m0.0"]
    assert [(job["position"], job["id"]) for job in line["waiting"]] == [
        (1, "m2.0"), (2, "m1.0"), (3, "m1.1"), (4, "m1.2"),
    ]  # fmt: skip
    assert [job["eta"] for job in line["waiting"]] == [None] * 4  # nothing was measured yet
    assert line["waiting"][1] | {"waited": 0, "ordered": 0} == {
        "id": "m1.0", "thread": "web/local/page/t1", "number": 2, "operation": "generate", "who": "Ann",
        "state": "queued", "attempts": 0, "faults": 0, "ordered": 0, "cost": 0.0, "position": 2, "eta": None,
        "waited": 0,
    }  # fmt: skip
    assert "lonely" not in json.dumps(line)
    assert bot.json("--prompts")["running"][0]["prompt"] == LONG


def test_a_job_of_a_model_that_no_batch_had_waits_for_a_worker(bot: Bot) -> None:
    """It comes after the jobs that a worker can take, whoever asked first."""
    bot.store.accept(Message("m1", ThreadKey("web", "local", "page", "t1"), ANN, "draw"))
    request = ImageRequest(0, Operation.GENERATE, "a sun", sampling=Sampling(model="other"))
    bot.store.jobs.order("m1", request, None)
    bot.order("m2", BOB)
    assert [(job["id"], job["state"]) for job in bot.json()["waiting"]] == [("m2.0", "queued"), ("m1.0", "queued")]
    _, table, _ = bot.run()
    assert re.search(r"m2\.0 .* queued ", table) and re.search(r"m1\.0 .* waiting for a worker ", table)


def test_times_are_foretold_once_a_picture_was_painted(bot: Bot) -> None:
    """What the last ones cost and took tells when the next are done."""
    bot.order("m0", ANN)
    (job,) = bot.claim("m0.0")
    assert bot.store.jobs.mark_rendered(job, picture(1))
    bot.order("m1", ANN, 2)
    first, second = (job["eta"] for job in bot.json()["waiting"])
    assert 0 < first < second == pytest.approx(2 * first)


def test_the_table_shows_what_people_wrote_as_words(bot: Bot) -> None:
    """Names are neither markup nor orders to the terminal; prompts are shown only if wanted, and cut."""
    bot.order("m1", BOB, 2)
    bot.claim("m1.1")
    status, out, _ = bot.run()
    assert status == 0
    assert "[red]Bob [2J" in out
    assert "\x1b" not in out
    assert "#1 in web/t1" in out
    assert "1 picture under way, 1 waiting." in out
    assert out.index("running") < out.index("queued")
    assert "lonely" not in out
    _, out, _ = bot.run("--prompts")
    assert f"{LONG[:39]}…" in out


def test_an_empty_queue_is_reported(bot: Bot) -> None:
    """A sentence, and empty lists for scripts."""
    assert bot.run()[1] == "The line is empty.\n"
    assert bot.run("--dead")[1] == "Nothing was given up.\n"
    assert bot.json() == {"running": [], "waiting": []}
    assert bot.json("--dead") == {"dead": []}


def test_long_ids_are_shortened_and_found_again(bot: Bot) -> None:
    """As far as they can be told from each other; one that fits several is refused."""
    for message_id in ("0123456789abcdef", "0123456789xyz"):
        bot.order(message_id, ANN)
    _, out, _ = bot.run()
    assert "0123456789a.0 " in out
    assert "0123456789x.0 " in out
    status, _, complaint = bot.run("cancel", "0123.0")
    assert (status, complaint.splitlines()[0]) == (2, "Several jobs have an id like '0123.0': write more of it.")
    assert bot.run("cancel", "0123456789x.0")[:2] == (0, "1 job cancelled.\n")
    assert [job["id"] for job in bot.json()["waiting"]] == ["0123456789abcdef.0"]


def test_jobs_are_cancelled(bot: Bot) -> None:
    """Those that run and those that wait; the reply learns why. One unknown id, and nothing is done."""
    bot.order("m1", ANN, 3)
    (job, _) = bot.claim("m1.0", "m1.1")
    status, out, complaint = bot.run("cancel", "m1.0", "m7.0")
    assert (status, out) == (2, "")
    assert complaint == "There is no job 'm7.0' here.\nNothing was done.\n"
    assert bot.run("cancel", "m1.0", "m1.2")[:2] == (0, "2 jobs cancelled.\n")
    assert bot.states() == {"m1.0": "cancelled", "m1.1": "running", "m1.2": "cancelled"}
    assert bot.store.jobs.outcome(job) == Failed(notice("cancelled-by-operator"))
    status, _, complaint = bot.run("cancel", "m1.0")
    assert status == 2
    assert "is cancelled" in complaint


def test_what_was_given_up_is_listed_and_made_again(bot: Bot) -> None:
    """The reply is open again, and only what failed waits again."""
    bot.order("m1", ANN, 2)
    bot.order("m2", BOB)
    good, bad = bot.claim("m1.0", "m1.1")
    assert bot.store.jobs.mark_rendered(good, picture(1))
    bot.store.jobs.fail(bad, "The renderer broke down.")
    bot.store.jobs.refuse(replace(good, id="m2.0"), "No such model.")
    for message_id in ("m1", "m2"):
        bot.store.finish(message_id, View(final=True))
    assert "The renderer broke down." in bot.run("--dead")[1]
    assert {job["id"]: job["reason"] for job in bot.json("--dead")["dead"]} == {
        "m1.1": "The renderer broke down.",
        "m2.0": "No such model.",
    }
    status, out, _ = bot.run("requeue", "m1.1")
    assert (status, out) == (0, "1 reply opened again: the bot makes what is missing, as soon as it runs.\n")
    assert bot.states() == {"m1.0": "posted", "m1.1": "queued", "m2.0": "dead"}
    assert [entry.id for entry in bot.store.open_entries()] == ["m1"]
    assert bot.run("requeue", "--all")[1].startswith("1 reply opened")
    assert bot.states()["m2.0"] == "queued"
    assert bot.run("requeue", "--all")[1] == "Nothing was given up.\n"
    assert bot.run("requeue", "m1.0")[0] == 2


def test_a_job_that_was_cancelled_by_mistake_is_made_again(bot: Bot) -> None:
    """It is in no list, but its id will do."""
    bot.order("m1", ANN)
    bot.run("cancel", "m1.0")
    assert bot.run("requeue", "m1.0")[0] == 0
    assert bot.states() == {"m1.0": "queued"}


def test_without_a_database_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says where it was looked for; a file that is no database is told, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    assert main(["queue"]) == 2
    assert "There is no database at" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    (tmp_path / DATABASE).write_bytes(b"not a database, whatever its name says" * 100)
    assert main(["queue"]) == 2
    assert "cannot be opened" in capsys.readouterr().err


def test_watching_ends_with_control_c() -> None:
    """Every look takes the place of the one before, and the end is no error."""
    seen: list[str] = []

    def looks() -> Iterator[RenderableType]:
        for text in ("first", "second"):
            seen.append(text)
            yield Text(text)
        raise KeyboardInterrupt

    console = Console(file=io.StringIO(), force_terminal=True, width=40)
    queue_command.watch(console, looks())
    assert seen == ["first", "second"]


def test_every_option_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """`docs/operating.md` names each option and command."""
    documented = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for arguments in (["--help"], ["cancel", "--help"], ["requeue", "--help"]):
        with pytest.raises(SystemExit):
            main(["queue", *arguments])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out)) - {"--help"}
    assert options >= {"--watch", "--all"}
    for output in (*options, "queue cancel ID", "queue requeue ID"):
        assert output in documented


@pytest.mark.parametrize(
    ("seconds", "output"), [(0, "0 s"), (42.4, "42 s"), (60, "1 min 0 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")]
)
def test_durations_can_be_read(seconds: float, output: str) -> None:
    """In the two largest units."""
    assert format_duration(seconds) == output
