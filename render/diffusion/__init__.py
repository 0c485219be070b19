"""Pictures by diffusers; with the built-in model, the only code that imports torch."""

from render.diffusion.studio import HELD_BACK, Studio

__all__ = ["HELD_BACK", "Studio"]
