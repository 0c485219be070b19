"""The render line and the engines behind it. Only `diffusion` and `builtin` import torch."""
