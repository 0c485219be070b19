"""Trains the decoder of the built-in image model: `python -m render.builtin.training.train_decoder --work DIR`.

As in `render.builtin.training.train`, the budget is time, and an interrupted run continues from its last checkpoint.
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from render.builtin.decoder import SCALE, SceneDecoder
from render.builtin.training.paint import paint
from render.builtin.training.scenes import random_scene
from render.builtin.training.train import latents

SIDE = 256
CROP = 16  # latent pixels; half a picture in each direction
EDGE = 4.0  # additional weight of a pixel whose enlargement alone would be quite wrong

Pixels = np.ndarray[Any, np.dtype[np.float32]]


def main() -> None:
    """Train for the given time; the weights are written to `decoder` in the work folder at every checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint and the weights")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.work, options.minutes, options.batch, options.lr, torch.device(options.device))


def train(work: Path, minutes: float, batch: int, lr: float, device: torch.device) -> None:
    """Run the training loop in `work` until `minutes` of training, earlier runs included, are spent."""
    model = SceneDecoder().to(device)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=0.01, fused=True)
    checkpoint = work / "decoder.pt"
    spent, step = 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        spent, step = state["spent"], state["step"]
    samples = batches(Random(step), batch)
    started = saved_at = time.monotonic()
    running = 0.0
    while spent < minutes * 60:
        picture, coarse = (tensor.to(device) for tensor in next(samples))
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / 100, max(0.005, (1 - spent / (minutes * 60)) / 0.7))
        loss = _loss(model, picture, _imperfect(coarse))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        running += 0.02 * (loss.item() - running) if step > 1 else loss.item()
        now = time.monotonic()
        spent, started = spent + now - started, now
        if step % 200 == 0:
            print(f"step {step}  {spent / 60:.1f} min  {step * batch:,} crops  loss {running:.4f}", flush=True)
        if now - saved_at > 120 or spent >= minutes * 60:
            saved_at = now
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "spent": spent, "step": step}
            torch.save(state, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
            model.save_pretrained(work / "decoder")


def batches(rng: Random, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (picture, latents) crops: `[size, 3, 128, 128]` and `[size, 3, 16, 16]`, both in [-1, 1].

    Latents are either what the network learns to draw or the area average of the picture, as for a source picture.
    """
    while True:
        pictures: list[Pixels] = []
        coarse: list[Pixels] = []
        while len(pictures) < size:
            scene = random_scene(rng)
            picture = np.asarray(paint(scene, SIDE), np.float32).transpose(2, 0, 1) / 127.5 - 1
            small = latents(scene) if rng.random() < 0.5 else area_average(picture)
            for _ in range(2):
                top, left = rng.randint(0, SIDE // SCALE - CROP), rng.randint(0, SIDE // SCALE - CROP)
                coarse.append(small[:, top : top + CROP, left : left + CROP])
                rows, columns = (slice(start * SCALE, (start + CROP) * SCALE) for start in (top, left))
                pictures.append(picture[:, rows, columns])
        yield torch.from_numpy(np.stack(pictures[:size])), torch.from_numpy(np.stack(coarse[:size]))


def area_average(picture: Pixels) -> Pixels:
    """`[3, 8h, 8w]` to `[3, h, w]`."""
    channels, height, width = picture.shape
    averaged: Pixels = picture.reshape(channels, height // SCALE, SCALE, width // SCALE, SCALE).mean((2, 4))
    return averaged


def _imperfect(latents: Tensor) -> Tensor:
    """Latents as the network may leave them: a little noisy, a little blurred, here and there a little off."""
    rows = len(latents), 1, 1, 1
    blurred = F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    softened = latents.lerp(blurred, 0.3 * torch.rand(rows, device=latents.device).square())
    drift = F.interpolate(torch.randn(len(latents), 3, 4, 4, device=latents.device), size=CROP, mode="bilinear")
    level = torch.rand(rows, device=latents.device)
    return softened + 0.02 * level * drift + 0.03 * level * torch.randn_like(latents)


def _loss(model: SceneDecoder, picture: Tensor, latents: Tensor) -> Tensor:
    """Absolute error, weighted up where a smooth enlargement is wrong: at the edges."""
    with torch.autocast(picture.device.type, torch.bfloat16):
        drawn = model(latents.contiguous(memory_format=torch.channels_last))
    smooth = F.interpolate(latents, scale_factor=SCALE, mode="bilinear", align_corners=False)
    weight = 1 + EDGE * (picture - smooth).abs().amax(1, keepdim=True).clamp(max=1)
    loss: Tensor = ((drawn.float() - picture).abs() * weight).mean()
    return loss


if __name__ == "__main__":
    main()
