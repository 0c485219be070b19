"""`python -m render.worker.gpu_info`: prints missing modules and GPU names as JSON. Works without torch."""

import json
import sys
from importlib.util import find_spec

REQUIRED_MODULES = ("torch", "diffusers", "transformers", "accelerate", "peft")


def main() -> None:
    """Print the missing modules and the names of the GPUs as one line of JSON."""
    missing = [name for name in REQUIRED_MODULES if not find_spec(name)]
    gpus: list[str] = []
    if "torch" not in missing:
        import torch

        gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    sys.stdout.write(json.dumps({"missing": missing, "gpus": gpus}) + "\n")


if __name__ == "__main__":
    main()
