"""The second network of the built-in picture model: sharp pictures from latents, at eight times the size."""

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F

SCALE = 8


class SceneDecoder(ModelMixin, ConfigMixin):
    """Draws the edges that latents only hint at: `[batch, 3, h, w]` to `[batch, 3, 8h, 8w]`, both RGB in [-1, 1].

    The convolutions add to a bilinear enlargement, so that a flat colour needs nothing from them.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(self, width: int = 64, inner_width: int = 32, coarse_layers: int = 4, fine_layers: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.coarse = nn.Sequential(*(Residual(width) for _ in range(coarse_layers)))
        self.finer = nn.Sequential(nn.Conv2d(width, 4 * inner_width, 3, padding=1), nn.PixelShuffle(2))
        self.fine = nn.Sequential(*(Residual(inner_width) for _ in range(fine_layers)))
        last = nn.Conv2d(inner_width, 3 * 16, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.head = nn.Sequential(last, nn.PixelShuffle(4))

    def forward(self, latents: Tensor) -> Tensor:
        """The picture of each row of latents; values may leave [-1, 1] a little."""
        enlarged = F.interpolate(latents, scale_factor=SCALE, mode="bilinear", align_corners=False)
        edges: Tensor = self.head(self.fine(self.finer(self.coarse(self.stem(latents)))))
        return enlarged + edges


class Residual(nn.Module):
    """Two convolutions, added to what they read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`x`, of whatever shape, and a small change to it."""
        change: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + change
