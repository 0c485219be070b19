"""Trains the network of the built-in image model: `python -m render.builtin.training.train --minutes 60 --work DIR`.

Time, not steps, is the budget: the learning rate follows the clock, and a run that is cut off goes on from its
last checkpoint. The decoder is trained by `render.builtin.training.train_decoder`.
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
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedTokenizerFast

from render.builtin.model import SceneTransformer
from render.builtin.training.paint import mask, paint
from render.builtin.training.scenes import Scene, caption, random_edit, random_scene
from render.builtin.training.tokenizer import MAX_WORDS, VOCABULARY_SIZE, build_tokenizer

EDITS = 0.3  # share of samples that have a source picture
NO_WORDS = 0.08  # share of samples whose caption is dropped, for classifier-free guidance
FOREGROUND = 5.0  # weight of a pixel of a thing against one of the background
EMA = 0.9995


def main() -> None:
    """Train for the given time, writing a checkpoint every few minutes and the averaged weights at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, required=True, help="folder for the checkpoint and the weights")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    train(options.work, options.minutes, options.batch, options.lr, torch.device(options.device))


def train(work: Path, minutes: float, batch: int, lr: float, device: torch.device) -> None:
    """Run the training loop in `work` until `minutes` of training, earlier runs included, are spent."""
    model = SceneTransformer(vocab_size=VOCABULARY_SIZE, max_words=MAX_WORDS).to(device)
    average = SceneTransformer(**model.config).to(device)
    average.load_state_dict(model.state_dict())
    optimizers = _optimizers(model, lr)
    checkpoint = work / "checkpoint.pt"
    spent, step = 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        spent, step = state["spent"], state["step"]
    samples = batches(Random(step), build_tokenizer(), batch)
    started = saved_at = time.monotonic()
    running = 0.0
    while spent < minutes * 60:
        words, clean, source, weight = (tensor.to(device) for tensor in next(samples))
        loss = _loss(model, words, clean, source, weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * _schedule(step, spent / (minutes * 60))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        decay = min(EMA, (1 + step) / (20 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        running += 0.02 * (loss.item() - running) if step > 1 else loss.item()
        now = time.monotonic()
        spent, started = spent + now - started, now
        if step % 100 == 0:
            print(f"step {step}  {spent / 60:.1f} min  {step * batch:,} samples  loss {running:.4f}", flush=True)
        if now - saved_at > 180 or spent >= minutes * 60:
            saved_at = now
            state = {"model": model.state_dict(), "average": average.state_dict(), "spent": spent, "step": step}
            state["optimizers"] = [optimizer.state_dict() for optimizer in optimizers]
            torch.save(state, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
            average.save_pretrained(work / "transformer")


def batches(rng: Random, tokenizer: PreTrainedTokenizerFast, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Endless (words, clean latents, source latents or NaN, weight of each pixel), drawn on the fly."""
    while True:
        told, clean, sources, weights = [], [], [], []
        for _ in range(size):
            before, after = random_edit(rng) if rng.random() < EDITS else (None, random_scene(rng))
            told.append("" if rng.random() < NO_WORDS else caption(after, rng))
            target = latents(after)
            source = latents(before) if before else np.full_like(target, np.nan)
            changed = np.abs(source - target).max(axis=0) > 0.1
            inside = np.asarray(mask(after, 32), np.float32) / 255
            clean.append(target)
            sources.append(source)
            weights.append(1 + (FOREGROUND - 1) * np.maximum(inside, changed))
        words = tokenizer(told, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
        yield words, *(torch.from_numpy(np.stack(rows).astype(np.float32)) for rows in (clean, sources, weights))


def latents(scene: Scene) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The scene as the network sees it: `[3, 32, 32]` in [-1, 1]."""
    return np.asarray(paint(scene, 32), np.float32).transpose(2, 0, 1) / 127.5 - 1


def _loss(model: SceneTransformer, words: Tensor, clean: Tensor, source: Tensor, weight: Tensor) -> Tensor:
    """Weighted error of the predicted clean picture; most samples are very noisy, where the composition is decided."""
    u = torch.rand(len(clean), device=clean.device)
    sigma = 3 * u / (1 + 2 * u)
    level = sigma[:, None, None, None]
    noisy = (1 - level) * clean + level * torch.randn_like(clean)
    with sdpa_kernel(SDPBackend.MATH), torch.autocast(clean.device.type, torch.bfloat16):
        predicted = model(noisy, sigma, words, source)
    error = (predicted.float() - clean).square().mean(1) * weight
    return (error.mean((1, 2)) / (sigma + 0.2)).mean()


def _optimizers(model: SceneTransformer, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, which learns from fewer samples; AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if name.startswith("blocks.") and p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def _schedule(step: int, progress: float) -> float:
    """Warm up for 200 steps, hold, and fall to nothing over the last 40 % of the time."""
    return min(1.0, (step + 1) / 200, max(0.01, (1 - progress) / 0.4))


if __name__ == "__main__":
    main()
