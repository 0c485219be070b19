"""A network's rows shared out among the cores of a CPU: one thread a core loses less than all cores in each step."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor

FEWEST = 4  # rows a thread; with fewer, the cores had better work on each step together


def spread(network: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`network` of tensors with as many rows, on the threads of the CPU where that is faster. Without gradients."""
    threads = torch.get_num_threads()
    share = -(-len(rows[0]) // threads)
    if not rows[0].is_cpu or threads == 1 or share < FEWEST:
        return network(*rows)

    def part(*some: Tensor) -> Tensor:
        with torch.no_grad():  # a thread's own setting
            return network(*some)

    return torch.cat(list(_pool(threads).map(part, *(tensor.split(share) for tensor in rows))))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "rows", initializer=torch.set_num_threads, initargs=(1,))
