"""The command line imports only the modules that a command needs."""

import subprocess
import sys

import pytest

from bot.__main__ import main

OWN = {"bot", "bot.__main__"}  # with the standard library enough to parse a command line
HEAVY = "PIL aiohttp asyncio babel discord openai pydantic pydantic_settings ray rich slack_bolt sqlite_utils torch"


def imported_modules(*arguments: str) -> set[str]:
    """Return the names of all modules that `python -m bot` with these arguments imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bot", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("queue", "--help"), ("evaluate", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Help appears at once: no library of a platform, a model or the database is imported for it."""
    modules = imported_modules(*arguments)
    packages = {name.partition(".")[0] for name in modules}
    assert "argparse" in modules
    assert packages.isdisjoint(HEAVY.split()), packages & {*HEAVY.split()}
    assert {name for name in modules if name.partition(".")[0] in ("bot", "adapters", "render")} <= OWN


def test_every_command_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists each command in one line."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("run", "chat", "replay", "evaluate", "queue", "usage", "export", "models", "doctor"):
        assert f"\n    {command} " in text
