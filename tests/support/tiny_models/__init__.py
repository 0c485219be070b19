"""Real diffusers pipelines with 25,000 to 400,000 random weights, made in a moment and without a network.

The pictures are noise, but noise that answers: to the prompt, the seed, the guidance and the picture it starts from.
"""

from tests.support.tiny_models.families import FAMILIES, UPSTREAM, Family, Way, saved
from tests.support.tiny_models.ip_adapter import adapter

__all__ = ["FAMILIES", "UPSTREAM", "Family", "Way", "adapter", "saved"]
