"""How long `python -m bot --help` takes, compared with an interpreter that does nothing.

python -m benchmarks.startup
"""

import statistics
import subprocess
import sys
import time

RUNS = 15
LIMIT = 10.0  # times as long as a bare interpreter


def duration(*arguments: str) -> float:
    """Return the median duration of a Python process with these arguments, in seconds."""
    durations = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def main() -> int:
    """Print both durations and their ratio; 1 if the ratio is too large."""
    bare, program = duration("-c", "pass"), duration("-m", "bot", "--help")
    print(
        f"python -c pass {bare * 1000:.0f} ms, python -m bot --help {program * 1000:.0f} ms: {program / bare:.1f} times"
    )
    return 0 if program < LIMIT * bare else 1


if __name__ == "__main__":
    sys.exit(main())
