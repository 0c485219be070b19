"""The only importer of torch outside the built-in model: load a diffusers pipeline and paint with it."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import diffusers
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image

from bot.abilities import Abilities, Dialect, Editing
from bot.domain import Operation
from render import capabilities
from render.builtin.pipeline import ScenePipeline
from render.revision import of_folder, revision
from render.sitting import Sitting, Wish, alike, wish
from render.studio import Broken, Cancelled, Tell
from render.wire import Batch, Task, Usual

log = logging.getLogger(__name__)

BUILTIN = Path(__file__).parent / "builtin" / "weights"
SCENES = Usual(256, 256, 8)
HELD_BACK = "its safety checker held the picture back."
STRENGTH = {Operation.EDIT: 0.6, Operation.REFINE: 0.3}  # of image-to-image, where a model has no better way

OnStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


def load(model: str, device: str) -> Any:
    """The pipeline of `builtin`, a folder or a hub id, on its device. Raises what diffusers raises."""
    diffusers.utils.logging.disable_progress_bar()
    if model == "builtin":
        pipe: Any = ScenePipeline.from_pretrained(BUILTIN, dtype=torch.float32)
    else:
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        pipe = DiffusionPipeline.from_pretrained(model, dtype=dtype)
    pipe.to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


class Studio:
    """A pipeline on its device, and the ways to use it."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        largest_batch: int | None = None,
        load: Callable[[str, str], Any] = load,
    ) -> None:
        """`largest_batch` counts pictures of the usual size; None is what most devices of the kind can take."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        scenes, cuda = model == "builtin", device.startswith("cuda")
        with ThreadPoolExecutor(1) as reader:  # the files are read at the same time, and so only once from the disk
            folder = reader.submit(of_folder, BUILTIN) if scenes else reader.submit(revision, model)
            self._pipe = load(model, device)
        self.model = model
        self.revision = folder.result() or revision(model)
        self.abilities = Abilities(Editing.DESCRIBE, Dialect.SCENES) if scenes else capabilities.abilities(self._pipe)
        self.usual: Usual | None = SCENES if scenes else capabilities.usual(self._pipe)
        self.largest_batch = largest_batch or (8 if scenes else 4 if cuda else 1)
        self._scenes = scenes
        self._device = device
        self._image_to_image: Any = None
        self._fitted = 1.0  # pictures of the usual size that the device has rendered at once
        self._thrift = self._ways_to_need_less() if cuda else iter(())
        self._files = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="files")

    def paint(self, batch: Batch, tell: Tell, cancelled: Event) -> None:
        """Render tasks that go together in one call, as many as fit on the device."""
        sitting = Sitting(len(batch.tasks), self.model, tell, cancelled, self._files)
        wishes = []
        for task in batch.tasks:
            try:
                wishes.append(wish(task))
            except ValueError as error:
                sitting.spoilt(task, error)
        try:
            for group in alike(wishes, any_start=self._scenes):
                while group:
                    sitting.go_on()
                    room = max(1, int(self.largest_batch / self._size(group[0])))
                    self._render(group[:room], sitting)
                    group = group[room:]
        finally:
            sitting.finish()

    def _render(self, wishes: list[Wish], sitting: Sitting) -> None:
        """All in one call; if that fails one by one, so that nobody is spoilt by his company."""
        fault = self._attempt(wishes, sitting)
        if fault is None:
            return
        no_memory = _no_memory(fault)
        if no_memory:
            self._ran_out(len(wishes) * self._size(wishes[0]))
        if len(wishes) > 1:
            log.warning("%s pictures at once failed (%s); one by one", len(wishes), type(fault).__name__)
            for one in wishes:
                self._render([one], sitting)
        elif no_memory and next(self._thrift, None):
            self._render(wishes, sitting)
        else:
            log.error("a picture failed", exc_info=fault)
            sitting.spoilt(wishes[0].task, MemoryError() if no_memory else fault)

    def _attempt(self, wishes: list[Wish], sitting: Sitting) -> Exception | None:
        """Make the pictures, or say why not. Whatever the call left behind is let go before this returns."""
        try:
            images, held_back = self._call(wishes, sitting)
        except Cancelled:
            raise
        except Exception as error:
            no_memory = _no_memory(error)
            if isinstance(error, torch.AcceleratorError) and not no_memory:
                raise Broken(str(error)) from error  # after such a fault CUDA refuses all that a process asks
            if no_memory or len(wishes) > 1:  # its frames hold what fills the memory
                error.__traceback__ = error.__context__ = error.__cause__ = None
            return error
        self._fitted = max(self._fitted, len(wishes) * self._size(wishes[0]))
        tasks = [wish.task for wish in wishes]
        sitting.made(*_shown(tasks, images, held_back))
        for task in [task for task, held in zip(tasks, held_back, strict=True) if held]:
            sitting.spoilt(task, ValueError(HELD_BACK))
        return None

    def _call(self, wishes: list[Wish], sitting: Sitting) -> tuple[list[Image.Image], list[bool]]:
        """The pictures, and which of them the pipeline's own safety checker has blackened."""
        pipe, first = self._pipe, wishes[0].task
        arguments: dict[str, Any] = {
            "prompt": [wish.task.prompt for wish in wishes],
            # one for each, so that a picture does not depend on its company
            "generator": [torch.Generator("cpu").manual_seed(wish.task.seed) for wish in wishes],
            "num_inference_steps": first.num_inference_steps,
            "guidance_scale": first.guidance_scale,
            "width": first.width,
            "height": first.height,
        }
        if self.abilities.negatives and any(wish.task.negative for wish in wishes):
            arguments["negative_prompt"] = [wish.task.negative for wish in wishes]
        if any(wish.source for wish in wishes):
            arguments["image"] = [wish.source for wish in wishes]
            if not self._scenes:
                self._image_to_image = self._image_to_image or AutoPipelineForImage2Image.from_pipe(pipe)
                pipe = self._image_to_image
                arguments["strength"] = STRENGTH.get(first.operation, 0.8)
                arguments["width"] = arguments["height"] = None
        if len(wishes) == 1:  # which every pipeline takes, while some take no list
            arguments |= {name: value[0] for name, value in arguments.items() if isinstance(value, list)}
        if self._scenes:
            arguments["callback_on_step_end_tensor_inputs"] = ["clean"]
        arguments = {name: value for name, value in arguments.items() if value is not None}
        output = pipe(**arguments, callback_on_step_end=self._on_step(wishes, sitting))
        flagged = getattr(output, "nsfw_content_detected", None) or [False] * len(wishes)
        return output.images, [bool(each) for each in flagged]

    def _on_step(self, wishes: list[Wish], sitting: Sitting) -> OnStep:
        def on_step(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            try:
                sitting.go_on()
            except Cancelled:
                pipe.maybe_free_model_hooks()  # raising past the pipeline skips it
                raise
            steps = getattr(pipe, "_num_timesteps", None) or len(pipe.scheduler.timesteps)
            sitting.step(len(wishes), (step + 1) / steps)
            if self._scenes:
                for row in sitting.previews(len(wishes)):
                    sitting.show(wishes[row].task, _thumbnail(tensors["clean"][row]))
            return {}

        return on_step

    def _size(self, wish: Wish) -> float:
        """The picture in pictures of the usual size."""
        assert self.usual
        default = (self.usual.width, self.usual.height)
        width, height = default
        if self._scenes:
            return 1.0
        if wish.source:
            width, height = wish.source.size
        elif wish.task.width and wish.task.height:
            width, height = wish.task.width, wish.task.height
        return width * height / (default[0] * default[1])

    def _ran_out(self, size: float) -> None:
        """So many pictures of the usual size did not fit: from now on at most as many as did, or half."""
        torch.cuda.empty_cache()
        fitted = self._fitted if self._fitted < size else 1.0
        self.largest_batch = max(1, min(self.largest_batch, int(max(fitted, size / 2))))
        log.warning("the device's memory is too small for a batch of %.1f; the largest is %s", size, self.largest_batch)

    def _ways_to_need_less(self) -> Iterator[str]:
        """Each is taken when asked for, and stays: slower, but the picture comes."""
        self._pipe.maybe_free_model_hooks()
        self._pipe.enable_model_cpu_offload(device=self._device)
        self._image_to_image = None
        log.warning("the device's memory is too small for the model: its parts take turns there from now on")
        yield "offload"
        vae = getattr(self._pipe, "vae", None)
        ways = [way for name in ("enable_slicing", "enable_tiling") if (way := getattr(vae, name, None))]
        for way in ways:
            way()
        if ways:
            log.warning("pictures are decoded in pieces from now on")
            yield "pieces"


def _shown(tasks: list[Task], images: list[Image.Image], held_back: list[bool]) -> tuple[list[Task], list[Image.Image]]:
    """The tasks whose pictures may be seen, and these."""
    seen = [(task, image) for task, image, held in zip(tasks, images, held_back, strict=True) if not held]
    return [task for task, _ in seen], [image for _, image in seen]


def _no_memory(error: Exception) -> bool:
    """Not every library has an exception of its own for it."""
    said = str(error)
    known = "out of memory" in said or "can't allocate memory" in said or "ALLOC_FAILED" in said
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and known)


def _thumbnail(latents: torch.Tensor) -> Image.Image:
    """The built-in model's latents are a small picture: `[3, 32, 32]`, RGB in [-1, 1]."""
    pixels = ((latents.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy()).resize((128, 128), Image.Resampling.BICUBIC)
