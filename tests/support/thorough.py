"""How many examples of a property a test tries: all with THOROUGH=1, as in continuous integration, else a sample."""

import os
from collections.abc import Sequence
from typing import TypeVar

THOROUGH = bool(os.environ.get("THOROUGH"))
SHARE = 10  # a sample is this part of all examples
FEWEST = 40

Item = TypeVar("Item")


def examples(number: int, fewest: int = FEWEST) -> int:
    """Return how many of so many random examples are tried."""
    return number if THOROUGH else min(number, max(fewest, number // SHARE))


def sample(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Return all items, or at most so many that are spread evenly from the first to the last."""
    if THOROUGH or len(items) <= most:
        return items
    return [items[nth * (len(items) - 1) // (most - 1)] for nth in range(most)]
