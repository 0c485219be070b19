"""The render queue, the workers and the image models. Only `diffusion` and `builtin` import torch."""
