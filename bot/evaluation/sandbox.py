"""Runs the code of a model with its tests, in a child process with strict limits.

The process has no environment, an empty folder, and limits on time, memory, files and output. That protects the machine
from mistakes, not from malice: the process still runs as the user who evaluates, with the network of that user.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from markdown_it import MarkdownIt

from bot.evaluation.datasets import CodeTask


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a program: seconds of wall-clock time, bytes of memory, bytes of one file."""

    seconds: float = 10.0
    memory: int = 1 << 30
    file: int = 1 << 20


_DEFAULT = Limits()

# The process limits itself before it reads a line of foreign code. The password proves that it reached
# the end: a program that exits early has passed nothing.
_BOOT = """
import contextlib, json, resource, sys

def judge(password, answer, tests, entry):
    place = {"__name__": "answer"}
    try:
        exec(compile(answer, "answer.py", "exec"), place)
        exec(compile(tests, "tests.py", "exec"), place)
        if callable(place.get("check")):
            place["check"](place[entry])
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:200]
    return password

def limit(name, value):
    if hasattr(resource, name):
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS does not take all of them
            resource.setrlimit(number, (value, value))

def main():
    order = json.load(sys.stdin)
    for name, value in order.pop("limits").items():
        limit(name, value)
    verdict = judge(**order)
    with open("verdict", "w") as file:
        file.write(verdict)

main()
"""


def extract_code(answer: str, entry: str) -> str:
    """Return the program in an answer: the last code block that defines `entry`, else the last block, else all."""
    blocks = [token.content for token in MarkdownIt().parse(answer) if token.type == "fence"]
    defining = [block for block in blocks if f"def {entry}" in block]
    return [answer, *blocks, *defining][-1]


async def run_tests(code: str, task: CodeTask, limits: Limits = _DEFAULT) -> str:
    """Run the tests on the code. Returns an empty text if they pass, else a short description of the error."""
    password = secrets.token_hex(16)
    caps = {
        "RLIMIT_CPU": int(limits.seconds) + 1,
        "RLIMIT_AS": limits.memory,
        "RLIMIT_FSIZE": limits.file,
        "RLIMIT_NPROC": 0,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    order = {"limits": caps, "password": password, "answer": code, "tests": task.tests, "entry": task.entry}
    with TemporaryDirectory(prefix="evaluation-", ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", _BOOT),
            cwd=folder,
            env={},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(limits.seconds):
                await process.communicate(json.dumps(order).encode())
        except TimeoutError:
            return f"did not end within {limits.seconds:g} seconds"
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # with its child processes
            await process.wait()
        return _read_verdict(Path(folder) / "verdict", password, process.returncode)


def _read_verdict(path: Path, password: str, status: int | None) -> str:
    """Read the verdict file of the process, which may have left anything there, such as a pipe or a huge file."""
    if not path.is_file():
        return f"ended before its tests did (exit status {status})"
    with path.open("rb") as file:
        verdict = file.read(800).decode(errors="replace")
    return "" if verdict == password else verdict or "left no verdict"
