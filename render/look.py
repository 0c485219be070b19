"""`python -m render.look`: what there is to paint with, as one line of JSON. A worker's modules may be missing."""

import json
import sys
from importlib.util import find_spec

NEEDED = ("torch", "diffusers", "transformers", "accelerate", "peft")


def main() -> None:
    """Print the modules that are missing, and the names of the GPUs."""
    missing = [name for name in NEEDED if not find_spec(name)]
    gpus: list[str] = []
    if "torch" not in missing:
        from render.diffusion.cards import names

        gpus = names()
    sys.stdout.write(json.dumps({"missing": missing, "gpus": gpus}) + "\n")


if __name__ == "__main__":
    main()
