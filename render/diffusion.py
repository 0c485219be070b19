"""The only importer of torch outside the built-in model: load a diffusers pipeline and paint with it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import diffusers
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image

from bot.domain import Abilities, Dialect, Editing, Operation
from render.builtin.pipeline import ScenePipeline
from render.pictures import decode, encode, preview
from render.wire import Batch, Made, Preview, Step, Task, WorkerEvent
from render.worker import Cancelled

BUILTIN = Path(__file__).parent / "builtin" / "weights"
PREVIEW_EVERY = 0.2  # seconds
STRENGTH = {Operation.EDIT: 0.6, Operation.REFINE: 0.3}  # of image-to-image, where a model has no better way
LONGEST_PROMPT_TOLD = 1000  # characters in a picture's metadata


class Studio:
    """A pipeline on its device, and the ways to use it."""

    def __init__(self, model: str, device: str = "auto") -> None:
        """Load `builtin`, a folder or a hub id. Raises what diffusers raises."""
        diffusers.utils.logging.disable_progress_bar()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        self.model = model
        self._scenes = model == "builtin"
        if self._scenes:
            self._pipe: Any = ScenePipeline.from_pretrained(BUILTIN, dtype=torch.float32)
        else:
            self._pipe = DiffusionPipeline.from_pretrained(model, dtype=dtype)
        self.abilities = Abilities(Editing.DESCRIBE, Dialect.SCENES) if self._scenes else _abilities(self._pipe)
        self._pipe.to(device)
        self._pipe.set_progress_bar_config(disable=True)

    def paint(self, batch: Batch, tell: Callable[[WorkerEvent], None], cancelled: Event) -> None:
        """Render the tasks one after the other."""
        for task in batch.tasks:
            image = self._image(task, tell, cancelled)
            told = {"parameters": task.prompt[:LONGEST_PROMPT_TOLD], "Seed": str(task.seed), "Software": self.model}
            told["Comment"] = "Made by a machine: a diffusion model drew this picture."
            tell(Made(task.id, encode(image, told), image.width, image.height, self.model))

    def _image(self, task: Task, tell: Callable[[WorkerEvent], None], cancelled: Event) -> Image.Image:
        pipe = self._pipe
        arguments: dict[str, Any] = {
            "prompt": task.prompt,
            "generator": torch.Generator("cpu").manual_seed(task.seed),
            "num_inference_steps": task.num_inference_steps,
            "guidance_scale": task.guidance_scale,
            "width": task.width,
            "height": task.height,
        }
        starts_from_source = task.operation in STRENGTH or not task.prompt
        if task.source is not None and starts_from_source:
            arguments["image"] = decode(task.source)
            if not self._scenes:
                pipe = AutoPipelineForImage2Image.from_pipe(pipe)
                arguments["strength"] = STRENGTH.get(task.operation, 0.8)
                arguments["width"] = arguments["height"] = None
        arguments = {name: value for name, value in arguments.items() if value is not None}
        if self._scenes:
            arguments["callback_on_step_end_tensor_inputs"] = ["clean"]
        return pipe(**arguments, callback_on_step_end=self._on_step(task, tell, cancelled)).images[0]  # type: ignore[no-any-return]

    def _on_step(
        self, task: Task, tell: Callable[[WorkerEvent], None], cancelled: Event
    ) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
        shown = 0.0

        def on_step(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal shown
            if cancelled.is_set():
                pipe.maybe_free_model_hooks()  # raising past the pipeline skips it
                raise Cancelled
            steps = getattr(pipe, "_num_timesteps", None) or len(pipe.scheduler.timesteps)
            tell(Step(min(1.0, (step + 1) / steps)))
            now = time.monotonic()
            if self._scenes and now - shown >= PREVIEW_EVERY:
                shown = now
                tell(Preview(task.id, preview(_thumbnail(tensors["clean"]))))
            return {}

        return on_step


def _abilities(pipe: Any) -> Abilities:
    """A pipeline whose longest-sighted text encoder is CLIP's reads phrases; any other reads sentences."""
    encoders = [
        type(part).__name__ for name, part in pipe.components.items() if name.startswith("text_encoder") and part
    ]
    only_clip = bool(encoders) and all(encoder.startswith("CLIP") for encoder in encoders)
    return Abilities(Editing.DESCRIBE, Dialect.PHRASES if only_clip else Dialect.SENTENCES)


def _thumbnail(latents: torch.Tensor) -> Image.Image:
    """The built-in model's latents are a small picture: `[1, 3, 32, 32]`, RGB in [-1, 1]."""
    pixels = ((latents[0].float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).resize((128, 128), Image.Resampling.BICUBIC)
