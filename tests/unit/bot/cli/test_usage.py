"""`python -m bot usage` and `export`: what is on record, for those who run the bot."""

import csv
import io
import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bot.__main__ import create_parser
from bot.cli.usage import run
from bot.domain import ImageRequest, Operation, Person, TextPart, ThreadKey, View
from bot.errors import BotError, ConfigError, NotFound
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from bot.storage.usage import DAY
from tests.support.doubles import ANN, THREAD, claimed, message, picture
from tests.support.images import png

HEAD = ["server", "person", "name", "pictures", "megapixel_steps", "tokens_sent", "tokens_written"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of a bot in which Ann had two pictures drawn, and Cid only talked, elsewhere Ann too."""
    folder = tmp_path / "data"
    store, files = Store(folder / "minidalle.sqlite"), PictureFiles(folder / "pictures")
    drawn(store, files, "m1", "draw a sun, please", ANN)
    drawn(store, files, "m2", "draw a =moon", ANN)
    talked(store, "m3", 'a "quoted", name', THREAD, Person("cid", 'Cid, "the" kid'))
    talked(store, "m4", "hello", ThreadKey("test", "space2", "channel", "t"), ANN)
    store.close()
    return folder


def drawn(store: Store, files: PictureFiles, name: str, text: str, person: Person) -> None:
    """A message with a picture."""
    store.accept(message(name, text, author=person))
    job = store.jobs.order(name, ImageRequest(0, Operation.GENERATE, text), None)
    made = replace(picture(job.number, text), digest=files.put(png("red", 8 + job.number)))
    assert store.jobs.mark_rendered(claimed(store, job), made)
    store.add_tokens(name, 100, 10)
    store.finish(name, View((TextPart(f"Answer to {name}."),), final=True))


def talked(store: Store, name: str, text: str, thread: ThreadKey, person: Person) -> None:
    """A message without one."""
    store.accept(replace(message(name, text, author=person), thread=thread))
    store.add_tokens(name, 50, 5)
    store.finish(name, View((TextPart("Hm."),), final=True))


def output(data: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    run(create_parser().parse_args(arguments), data / "minidalle.sqlite", data / "pictures")
    return capsys.readouterr().out


def test_usage_is_a_table_for_a_spreadsheet(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each person on each server, who had most first; any name comes through."""
    rows = list(csv.reader(io.StringIO(output(data, capsys, "usage"))))
    assert rows == [
        HEAD,
        ["test/space", "ann", "Ann", "2", "2.0", "200", "20"],
        ["test/space", "cid", 'Cid, "the" kid', "0", "0.0", "50", "5"],
        ["test/space2", "ann", "Ann", "0", "0.0", "50", "5"],
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x","y"),z'])
def test_no_name_is_a_formula(data: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Whatever a spreadsheet would reckon out is text to it; numbers stay numbers."""
    store = Store(data / "minidalle.sqlite")
    talked(store, "m5", "hello", ThreadKey("test", "space3", "channel", "t"), Person(name, name))
    store.close()
    row = list(csv.reader(io.StringIO(output(data, capsys, "usage"), newline="")))[-1]
    assert row == ["test/space3", f"'{name}", f"'{name}", "0", "0.0", "50", "5"]


def test_usage_is_of_the_last_days(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is older does not count, and whoever has nothing newer is not named."""
    with sqlite3.connect(data / "minidalle.sqlite") as file:
        file.execute("UPDATE messages SET sent = sent - ?", [10 * DAY])
        file.execute("UPDATE jobs SET claimed = claimed - ? WHERE message = 'm1'", [10 * DAY])
    file.close()
    assert len(output(data, capsys, "usage").splitlines()) == 4
    rows = list(csv.reader(io.StringIO(output(data, capsys, "usage", "--days", "7"))))
    assert rows == [HEAD, ["test/space", "ann", "", "1", "1.0", "0", "0"]]


def test_usage_tells_nobodys_words(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither questions nor prompts nor answers."""
    shown = output(data, capsys, "usage")
    assert all(word not in shown for word in ("sun", "moon", "Answer", "quoted", "hello"))


def test_threads_are_listed_by_key(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With their titles, the newest first, as the other form of the command takes them."""
    lines = [line.split("\t") for line in output(data, capsys, "export").splitlines()]
    assert lines == [["test/space2/channel/t", "hello"], [str(THREAD), "draw a sun, please"]]


def test_a_thread_is_packed_with_its_pictures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything of it, and of no other."""
    out = tmp_path / "out.zip"
    shown = output(data, capsys, "export", str(THREAD), "--out", str(out))
    assert shown == f"{out} holds 3 messages: unpack it, and open index.html.\n"
    with zipfile.ZipFile(out) as packed:
        assert sorted(packed.namelist()) == ["index.html", "pictures.json", "pictures/0001.png", "pictures/0002.png"]
        assert packed.read("pictures/0001.png") == png("red", 9)
        pictures = json.loads(packed.read("pictures.json"))["pictures"]
        page = packed.read("index.html").decode()
    assert [each["prompt"] for each in pictures] == ["draw a sun, please", "draw a =moon"]
    assert "Answer to m2." in page and "hello" not in page


@pytest.mark.parametrize("key", ["test/space/channel/nobody", "nonsense", "", "a/b/c/d/e", "test/space/channel/%"])
def test_a_thread_that_is_not_there_is_reported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    """And no file is written."""
    with pytest.raises(NotFound) as refused:
        output(data, capsys, "export", key, "--out", str(tmp_path / "out.zip"))
    assert str(refused.value) == f"There is no thread {key!r}."
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize("command", [["usage"], ["export"], ["export", str(THREAD)]])
def test_without_a_database_that_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """With what is to be done; none is made."""
    with pytest.raises(ConfigError, match=r"There is no database at .*: start the bot once, or"):
        output(tmp_path, capsys, *command)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_reported(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, with the culprit."""
    for out in (tmp_path / "missing" / "out.zip", tmp_path):
        with pytest.raises(BotError) as refused:
            output(data, capsys, "export", str(THREAD), "--out", str(out))
        assert str(refused.value).startswith(f"{out} cannot be written: ")


def test_a_wrong_number_of_days_is_reported(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the command line tells all faults."""
    with pytest.raises(SystemExit):
        output(data, capsys, "usage", "--days", "many")
    assert "invalid int value: 'many'" in capsys.readouterr().err
