"""Evaluation: whole runs, what is kept of them, and how they end."""

import asyncio
import json
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.capabilities import ModelCapabilities
from bot.errors import BotError
from bot.evaluation import evaluate
from bot.llm.client import OpenAICompatible
from bot.llm.messages import ModelFailed, TextDelta
from bot.offline_llm import OfflineModel
from tests.support.openai_server import Stream, chunk, openai_server, refusal
from tests.support.thorough import examples
from tests.unit.bot.evaluation.test_runner import DIALOGUES, SameAnswer, judged, value, written


async def test_the_report_is_complete_and_can_be_read_by_programs(tmp_path: Path) -> None:
    """Everything that is shown is in the JSON file, as numbers, with all misses; and shown it is."""
    out, shown = tmp_path / "report.json", StringIO()
    model = SameAnswer([TextDelta("<image>a [bold]cat[/bold]</image>")])
    files = [written(tmp_path, *DIALOGUES)]
    reports = await evaluate(
        model, "decisions", name="m", capabilities=ModelCapabilities(), questions=files, out=out,
        console=Console(file=shown, width=200),
    )  # fmt: skip
    (kept,) = json.loads(out.read_text())
    assert (kept["suite"], kept["model"], kept["answered"], kept["total"], kept["stopped"]) == ("own", "m", 8, 8, "")
    measures: list[dict[str, Any]] = kept["finding"]["measures"]
    assert [measure["name"] for measure in measures] == [measure.name for measure in reports[0].finding.measures]
    assert all({"value", "n", "low", "high"} <= measure.keys() for measure in measures)
    assert [table["title"] for table in kept["finding"]["tables"]] == ["Kinds", "Coarse kinds", "Groups"]
    assert kept["finding"]["tables"][0]["rows"][1] == ["generate", 0.25, 1.0, 0.4, 2]
    assert kept["finding"]["tables"][2]["rows"] == [["animals", 0.25, 4]]
    assert {miss["where"] for miss in kept["finding"]["misses"]} >= {"cat, turn 2", "star, turn 1"}
    assert "[bold]cat" in kept["finding"]["misses"][0]["said"]
    for words in (*(measure["name"] for measure in measures), "Coarse kinds", "animals", "what do cats eat?", "0.400"):
        assert words in shown.getvalue()


async def test_an_interrupted_run_keeps_what_there_is(tmp_path: Path) -> None:
    """Who stops it after two answers has a report of two answers."""
    out = tmp_path / "report.json"
    model = SameAnswer([TextDelta("Well.")], hangs_at=3)
    run = asyncio.create_task(judged(model, "decisions", written(tmp_path, *DIALOGUES), out=out))
    await model.hanging.wait()
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    assert run.cancelled()
    (kept,) = json.loads(out.read_text())
    assert (kept["answered"], kept["total"]) == (2, 8)
    assert kept["stopped"].startswith("Interrupted")


async def test_a_model_that_is_not_there_is_not_asked_for_hours(tmp_path: Path) -> None:
    """After five failures in a row it is over, with the reason."""
    model = SameAnswer([ModelFailed("The server is away.")])
    (report,) = await judged(model, "decisions")
    assert (report.answered, len(model.received)) == (5, 5)
    assert report.stopped == "Stopped after 5 failures in a row. The last one: The server is away."


async def test_a_report_that_cannot_be_kept_is_reported_before_anything_is_asked(tmp_path: Path) -> None:
    """A wrong path costs nobody an evening."""
    model = SameAnswer([TextDelta("Well.")])
    with pytest.raises(BotError, match=r"cannot be written to .*/no/report\.json: No such file or directory\."):
        await judged(model, "decisions", out=tmp_path / "no" / "report.json")
    assert model.received == []


async def test_the_report_does_not_depend_on_the_order_in_which_answers_come() -> None:
    """One conversation at a time or many: the same measures, intervals and misses."""
    runs = [
        await evaluate(
            OfflineModel(pause=0), "decisions", name="m", capabilities=ModelCapabilities(), limit=examples(30, 8),
            parallel=parallel,
            console=Console(file=StringIO()),
        )
        for parallel in (1, 7)
    ]  # fmt: skip
    assert runs[0][0].finding == runs[1][0].finding


async def test_a_limit_asks_the_first_only() -> None:
    """Two dialogues of the many."""
    (report,) = await judged(OfflineModel(pause=0), "decisions", limit=2)
    assert report.answered == report.total == 14


async def test_a_server_that_breaks_down_in_the_middle_ends_the_run_with_a_sentence_and_a_report(
    tmp_path: Path,
) -> None:
    """Over real sockets: one good answer, then only errors; what was answered is kept."""
    good = Stream([chunk("<image>a cat</image>"), chunk(finish="stop"), "[DONE]"])
    out = tmp_path / "report.json"
    async with openai_server(good, refusal(401, "No such key.")) as server:
        model = OpenAICompatible("m", server.url, None)
        try:
            (report,) = await judged(model, "decisions", written(tmp_path, *DIALOGUES), out=out)
        finally:
            await model.close()
    assert (report.answered, report.total) == (6, 8)
    assert report.stopped.startswith("Stopped after 5 failures in a row. The last one: ")
    assert report.stopped.endswith(".")
    (kept,) = json.loads(out.read_text())
    assert (kept["answered"], kept["stopped"]) == (6, report.stopped)
    assert value(report, "failed") == 5 / 6
