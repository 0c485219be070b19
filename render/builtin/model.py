"""The network of the built-in picture model: words and picture patches in one transformer, between convolutions."""

import math

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional as F


class SceneTransformer(ModelMixin, ConfigMixin):
    """Predicts the clean latents from noisy ones, words, and (for an edit) the latents of the source picture.

    Latents are pictures at an eighth of the size: `[batch, 3, 32, 32]`, RGB in [-1, 1]. The clean picture is
    predicted, not the noise: x-prediction, as in "Back to Basics" (arXiv 2511.13720).
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        sample_size: int = 32,
        patch_size: int = 4,
        hidden_size: int = 192,
        num_layers: int = 8,
        num_attention_heads: int = 4,
        vocab_size: int = 128,
        max_words: int = 20,
        stem_channels: int = 24,
    ) -> None:
        super().__init__()
        tokens = (sample_size // patch_size) ** 2
        self.words = nn.Embedding(vocab_size, hidden_size)
        self.word_positions = nn.Parameter(torch.randn(max_words, hidden_size) * 0.02)
        self.patch_positions = nn.Parameter(torch.randn(tokens, hidden_size) * 0.02)
        self.stem = nn.Conv2d(7, stem_channels, 3, padding=1)  # noisy RGB, source RGB, "there is a source"
        self.patches = nn.Conv2d(stem_channels, hidden_size, patch_size, stride=patch_size)
        self.time = nn.Sequential(nn.Linear(128, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size))
        self.modulation = nn.Linear(hidden_size, 6 * hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, num_attention_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size)
        self.unpatch = nn.Linear(hidden_size, stem_channels * patch_size**2)
        self.head = nn.Sequential(
            nn.Conv2d(2 * stem_channels, stem_channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(stem_channels, 3, 3, padding=1),
        )

    def forward(self, sample: Tensor, sigma: Tensor, words: Tensor, source: Tensor | None = None) -> Tensor:
        """Clean latents for `sample = (1 - sigma) * clean + sigma * noise`.

        `sigma` is `[batch]` in [0, 1], or `[1]` for all rows, which is faster where nothing is learned; `words` are
        token ids `[batch, max_words]`; a row of `source` that is NaN stands for "no source picture".
        """
        if source is None:
            source = torch.full_like(sample, math.nan)
        given = ~source.isnan().any(dim=1, keepdim=True)
        stem = F.silu(self.stem(torch.cat([sample, source.nan_to_num(0.0), given.to(sample)], dim=1)))
        patches = self.patches(stem).flatten(2).transpose(1, 2) + self.patch_positions
        x = torch.cat([self.words(words) + self.word_positions, patches], dim=1)
        time = self.time(_sinusoid(sigma).to(x.dtype))
        modulation = self.modulation(F.silu(time)).unflatten(1, (6, -1)).unsqueeze(2)
        for number, block in enumerate(self.blocks, start=1):  # of the last one, only the patches are asked for
            x = block(x, modulation, skip=words.shape[1] if number == len(self.blocks) else 0)
        x = self.unpatch(self.norm(x)).transpose(1, 2)
        side = self.config.sample_size // self.config.patch_size
        x = F.pixel_shuffle(x.unflatten(2, (side, side)), self.config.patch_size)
        return self.head(torch.cat([F.silu(x), stem], dim=1))


class Block(nn.Module):
    """Attention and MLP, modulated by time: one shared modulation, and a table a block (PixArt, arXiv 2310.00426)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Parameter(torch.zeros(6, 1, width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, modulation: Tensor, skip: int = 0) -> Tensor:
        """`x` `[batch, tokens, width]`, modulated by `[batch or 1, 6, 1, width]`; without its first `skip` tokens."""
        if len(modulation) == 1 and not torch.is_grad_enabled():
            return self._paint(x, modulation[0], skip)
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).unbind(1)
        attended = self._attend(self.norm(x) * (1 + scale1) + shift1, skip)
        x = x[:, skip:] + (1 + gate1) * self.out(attended)
        return x + (1 + gate2) * self.down(F.gelu(self.up(self.norm(x) * (1 + scale2) + shift2), approximate="tanh"))

    def _paint(self, x: Tensor, modulation: Tensor, skip: int) -> Tensor:
        """The same in place, with all rows modulated alike, so that scales and shifts go into the norms."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.table).squeeze(1)
        attended = self._attend(F.layer_norm(x, x.shape[-1:], 1 + scale1, shift1, self.norm.eps), skip)
        x = x[:, skip:].addcmul_(self.out(attended), 1 + gate1)
        normed = F.layer_norm(x, x.shape[-1:], 1 + scale2, shift2, self.norm.eps)
        return x.addcmul_(self.down(_gelu(self.up(normed))), 1 + gate2)

    def _attend(self, x: Tensor, skip: int) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q[:, :, skip:], k, v).transpose(1, 2).flatten(2)


def _gelu(x: Tensor) -> Tensor:
    """GELU by tanh, in place: x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3))), for a CPU's tanh is slow."""
    if not x.is_cpu:
        return F.gelu(x, approximate="tanh")
    twice = -2 * math.sqrt(2 / math.pi)
    exponent = torch.addcmul(torch.tensor(twice, dtype=x.dtype), x, x, value=0.044715 * twice).mul_(x)
    return x.div_(exponent.exp_().add_(1))


def _sinusoid(sigma: Tensor) -> Tensor:
    frequencies = torch.exp(torch.linspace(0, math.log(1000), 64, device=sigma.device))
    angles = sigma.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
