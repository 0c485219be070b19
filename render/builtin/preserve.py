"""What a change of background leaves alone: the things before it stay the source's own pixels, up to their rims.

The latents are too coarse for that: a patch of 8 x 8 pixels that holds a rim, a window or an eye has changed, and is
drawn again with everything near it.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

REACHES = (3, 6, 10)  # pixels of the halved pictures between a pixel and those that vote with it
ALIKE = 0.12  # difference of two pixels of the source that vote together; the palette's colours are 0.3 apart
SAME, OTHER = 0.08, 0.24  # difference between drawn and source that certainly is none, and that certainly is one
NEAR = 8  # pixels of the halved pictures around a rim where its two sides are estimated, and the rim drawn again
WOBBLE = 4  # pixels of the halved pictures by which drawn edges are off
PURE = 0.06  # share of the other side below which a pixel of a rim counts as all of one side
MOST = 0.5  # share of the picture that must have gone, for the background to have been changed
MOVED = 0.03  # of what stays, the share that may be drawn elsewhere, or as a different shape
DIFFERS = 0.17  # of what stays, the share that may look different, apart from lines as thin as unsteady edges


def keep_things(drawn: Tensor, source: Tensor) -> Tensor:
    """`drawn` with the things of `source` as they are there, where all that was changed is what is behind them.

    Both are `[batch, 3, h, w]` in [-1, 1]. A picture in which anything else was changed too, or most of it is still
    the same, is returned as it was drawn. The rows do not depend on each other.
    """
    small, before = F.avg_pool2d(drawn, 2), F.avg_pool2d(source, 2)
    gone = _gone(small, before)
    kept = 1 - gone
    thing = _around(before, kept * (1 - _grown(gone, 1)) + 1e-3 * kept)
    old = _around(before, gone * (1 - _grown(kept, 1)) + 1e-3 * gone)
    new = _around(small, gone * (1 - _grown(kept, WOBBLE)) + 1e-3 * gone)
    near = _grown(kept, NEAR) * _grown(gone, NEAR)
    moved = _thick((_share(small, thing, new) > 0.5).float().sub(kept).abs() * near)
    inner, outer = 1 - _grown(gone, 1), gone * (1 - near)
    made = _rims(drawn, source, *(_doubled(each) for each in (thing, old, new)))
    made = made.lerp(source, _doubled(inner)).lerp(drawn, _doubled(outer)).clamp(-1, 1)
    differs = _thick((_difference(small, F.avg_pool2d(made, 2)) > 0.2).float())
    stays = kept.sum((1, 2, 3)).clamp(min=1)
    fits = gone.mean((1, 2, 3)) > MOST
    fits &= (moved.sum((1, 2, 3)) < MOVED * stays) & (differs.sum((1, 2, 3)) < DIFFERS * stays)
    return torch.where(fits[:, None, None, None], made, drawn)


def _gone(drawn: Tensor, source: Tensor) -> Tensor:
    """1 where the source is no more, else 0. Pixels of one colour decide together, so unsteady edges do not count.

    First whatever looks different is gone. What has gone tells how the new background looks, and then a pixel is gone
    if it looks more like that than like itself: a small window that was drawn badly still is a window.
    """
    difference = _difference(drawn, source)
    gone = _voted(source, ((difference - SAME) / (OTHER - SAME)).clamp(0, 1))
    new = _around(drawn, gone * (1 - _grown(1 - gone, WOBBLE)) + 1e-3 * gone)
    nearer = (difference > _difference(drawn, new)) & (difference > (SAME + OTHER) / 2)
    return _voted(source, nearer.float())


def _voted(source: Tensor, votes: Tensor) -> Tensor:
    """1 where most of the pixels around that look alike in the source have a vote, else 0."""
    height, width = votes.shape[-2:]
    total, voters = votes.clone(), torch.ones_like(votes)
    for reach, down, right in product(REACHES, (-1, 0, 1), (-1, 0, 1)):
        if not (down or right):
            continue
        reach = round(0.7 * reach) if down and right else reach
        y, x = down * reach, right * reach
        here = (..., slice(max(0, -y), height - max(0, y)), slice(max(0, -x), width - max(0, x)))
        there = (..., slice(max(0, y), height + min(0, y)), slice(max(0, x), width + min(0, x)))
        alike = (_difference(source[here], source[there]) < ALIKE).float()
        total[here] += alike * votes[there]
        voters[here] += alike
    return (total > 0.5 * voters).float()


def _rims(drawn: Tensor, source: Tensor, thing: Tensor, old: Tensor, new: Tensor) -> Tensor:
    """The rims of the source with the old background's share taken by what is drawn there, without things in it."""
    share = ((_share(source, thing, old) - PURE) / (1 - 2 * PURE)).clamp(0, 1)
    behind = drawn - _share(drawn, thing, new).clamp(0, 1) * (thing - new)
    return torch.where(share > 0, source + (1 - share) * (new - old), behind)


def _share(mixed: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """How much of `one` there is in a mixture with `other`; may leave [0, 1]."""
    way = one - other
    return ((mixed - other) * way).sum(1, keepdim=True) / way.square().sum(1, keepdim=True).clamp(min=1e-3)


def _around(pixels: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean of the pixels near each; where none of them counts, of those further away, or of all."""
    counted = pixels * weight
    total, weights = _mean(counted, NEAR), _mean(weight, NEAR)
    total, weights = total + 1e-3 * _wide_mean(counted), weights + 1e-3 * _wide_mean(weight)
    everywhere = counted.mean((2, 3), keepdim=True) / weight.mean((2, 3), keepdim=True).clamp(min=1e-9)
    return (total + 1e-6 * everywhere) / (weights + 1e-6)


def _mean(pixels: Tensor, reach: int) -> Tensor:
    down = F.avg_pool2d(pixels, (2 * reach + 1, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(down, (1, 2 * reach + 1), 1, (0, reach), count_include_pad=False)


def _wide_mean(pixels: Tensor) -> Tensor:
    return F.interpolate(_mean(F.avg_pool2d(pixels, 4), NEAR), scale_factor=4, mode="bilinear", align_corners=False)


def _grown(inside: Tensor, by: int) -> Tensor:
    down = F.max_pool2d(inside, (2 * by + 1, 1), 1, (by, 0))
    return F.max_pool2d(down, (1, 2 * by + 1), 1, (0, by))


def _thick(inside: Tensor) -> Tensor:
    """The middles of what is at least three pixels wide."""
    return 1 - _grown(1 - inside, 1)


def _difference(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().amax(1, keepdim=True)


def _doubled(pixels: Tensor) -> Tensor:
    return F.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=False)
