"""The GPUs that this process sees."""

import torch


def gpu_names() -> list[str]:
    """The names of the GPUs, in the order of their device numbers."""
    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
