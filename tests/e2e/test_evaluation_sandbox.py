"""Evaluation: code that chat models write is run, and kept short, small and poor."""

import os
import time

import pytest

from bot.evaluation.datasets import CodeTask
from bot.evaluation.sandbox import Limits, run_tests

TASK = CodeTask(task="double it", entry="double", tests="assert double(2) == 4\nassert double(-1) == -2")
CHECKED = CodeTask(task="double it", entry="double", tests="def check(candidate):\n    assert candidate(2) == 4")
RIGHT = "def double(n):\n    return 2 * n\n"


@pytest.mark.parametrize("task", [TASK, CHECKED])
async def test_right_code_passes(task: CodeTask) -> None:
    """Both ways of writing tests know a right answer, with imports and words on the screen as well."""
    assert await run_tests(RIGHT, task) == ""
    assert await run_tests(f"import math, collections\nprint('hello' * 1000)\n{RIGHT}", task) == ""


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("def double(n):\n    return n + 2\n", "AssertionError"),
        ("def twice(n):\n    return 2 * n\n", "NameError: name 'double' is not defined"),
        ("def double(n)\n    return 2 * n\n", "SyntaxError"),
        ("I would rather not.", "SyntaxError"),
        ("", "NameError"),
        ("def double(n):\n    return double(n)\n", "RecursionError"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("import sys\nsys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
async def test_wrong_code_is_reported_in_a_few_words(code: str, output: str) -> None:
    """What is wrong is named by Python's own error."""
    fault = await run_tests(code, TASK)
    assert fault.startswith(output)
    assert len(fault) <= 200


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "def double(n):\n    import os\n    os._exit(0)",
        "import os\nopen('verdict', 'w').close()\nos._exit(0)",
        "import os\nopen('verdict', 'w').write('passed')\nos._exit(0)",
        "import os\nopen('verdict', 'w').write('x' * 100_000)\nos._exit(0)",
        "import os\nos.mkfifo('verdict')\nos._exit(0)",
        "import os\nos.symlink('/dev/zero', 'verdict')\nos._exit(0)",
        "import os\nos.mkdir('verdict')\nos._exit(0)",
        "import sys\nprint('OK', file=sys.stderr)\nprint('all tests passed')\nraise SystemExit(0)",
        "import __main__\nopen('verdict', 'w').write(repr(vars(__main__)))\nraise SystemExit",
        "import __main__\nopen('verdict', 'w').write(__main__.verdict)",
        "import sys, os\nopen('verdict', 'w').write(sys.stdin.read())\nos._exit(0)",
        "import os\nopen('verdict', 'w').write(repr(os.environ))\nos._exit(0)",
    ],
)
async def test_code_that_leaves_early_or_pretends_has_passed_nothing(code: str) -> None:
    """Only who reached the end of the tests knows the password; what else is left behind is no proof."""
    assert await run_tests(code, TASK, Limits(seconds=5)) != ""


async def test_an_endless_loop_ends_in_time() -> None:
    """Whether it computes or sleeps, it is killed."""
    for code in ("while True:\n    pass", "import time\ntime.sleep(1000)"):
        began = time.monotonic()
        assert await run_tests(code, TASK, Limits(seconds=0.5)) == "did not end within 0.5 seconds"
        assert time.monotonic() - began < 5


async def test_code_that_wants_all_memory_gets_an_error() -> None:
    """The machine stays usable."""
    assert (await run_tests("x = bytearray(8 << 30)", TASK)).startswith("MemoryError")
    assert (await run_tests("x = [0]\nwhile True:\n    x += x", TASK, Limits(memory=1 << 28))).startswith("MemoryError")


async def test_files_are_small_and_gone_afterwards() -> None:
    """Code may write where it runs, not much, and nothing of it stays for the next."""
    assert await run_tests(f"import os\nassert os.listdir() == []\nopen('notes', 'w').write('hi')\n{RIGHT}", TASK) == ""
    where = await run_tests("import os\nopen('notes', 'w').write('hi')\nraise ValueError(os.getcwd())", TASK)
    assert not os.path.exists(where.removeprefix("ValueError: "))  # noqa: ASYNC240
    assert (await run_tests("open('big', 'w').write('x' * (5 << 20))", TASK)).startswith("OSError: [Errno 27]")


async def test_code_does_not_see_the_environment() -> None:
    """Keys that are set for the bot are not there for the code; Python itself may have set the language."""
    assert await run_tests(f"import os\nassert {{*os.environ}} <= {{'LC_CTYPE'}}, [*os.environ]\n{RIGHT}", TASK) == ""
