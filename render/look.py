"""`python -m render.look`: what there is to paint with, as one line of JSON. A worker's modules may be missing."""

import json
from importlib.util import find_spec

NEEDED = ("torch", "diffusers", "transformers", "accelerate", "peft")


def main() -> None:
    """Print the modules that are missing, and the names of the GPUs."""
    missing = [name for name in NEEDED if not find_spec(name)]
    gpus: list[str] = []
    if "torch" not in missing:
        from render.diffusion.cards import names

        gpus = names()
    print(json.dumps({"missing": missing, "gpus": gpus}))


if __name__ == "__main__":
    main()
