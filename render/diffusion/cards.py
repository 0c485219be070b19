"""The GPUs that this process sees."""

import torch


def names() -> list[str]:
    """Their names, by number."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
