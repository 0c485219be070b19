"""An image model on diffusers: renders batches by calls of its pipelines, with as many images as the device fits."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import torch
from PIL import Image

from bot.capabilities import Abilities, Dialect, Editing
from bot.domain import Operation
from render.diffusion import diffedit_mask as contrast
from render.diffusion import prompt_limit as reading
from render.diffusion.latent_preview import Lens
from render.diffusion.loading import BUILTIN
from render.diffusion.loading import load as loaded
from render.diffusion.lora import Eye, Wardrobe
from render.diffusion.pipeline_args import arguments
from render.diffusion.pipelines import Family
from render.diffusion.speedups import as_written, fewer_passes, quicken
from render.diffusion.step_callback import Watch
from render.image_model import Broken, Cancelled, Options, Tell
from render.models import introspection as capabilities
from render.models.batch import Easel, Sitting, Wish, alike, finished, wish
from render.models.edit_plan import Plan, Way, strength
from render.models.introspection import Takes
from render.models.presets import preset
from render.protocol import Batch, Made, Task, Usual, WorkerEvent
from render.worker.model_revision import of_folder, revision

log = logging.getLogger(__name__)

SCENES = Usual(256, 256, 8)
HELD_BACK = "its safety checker held the picture back."
NOT_A_NUMBER = "it made no picture but noise without numbers (NaN). Another seed, or fewer pixels, may do."


_USUAL = Options()


class Studio:
    """A loaded diffusers pipeline on its device, with its sibling pipelines, LoRAs and IP-Adapter."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        largest_batch: int | None = None,
        load: Callable[[str, str], Any] | None = None,
        options: Options = _USUAL,
    ) -> None:
        """`largest_batch` counts images of the default size; None means what most devices of the kind can hold."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        scenes, cuda = model == "builtin", device.startswith("cuda")
        with ThreadPoolExecutor(1) as reader:  # read the files while they are loaded: only once from the disk
            folder = reader.submit(of_folder, BUILTIN) if scenes else reader.submit(revision, model)
            self._pipe = load(model, device) if load else loaded(model, device, options)
        self.model = model
        self.revision = folder.result() or revision(model)
        log.info("%s: %s", model, "; ".join(quicken(self._pipe, device, options)))
        self._step_cache = options.step_cache
        self._preset = preset(model)
        self._eye = Eye(self._pipe, options.ip_adapter)
        self._family = Family(self._pipe, described=scenes, reference=self._eye.there)
        ways = self._family.takes()
        known = capabilities.abilities(self._pipe, ways, self._preset)
        self.abilities = Abilities(Editing.DESCRIBE, Dialect.SCENES) if scenes else known
        self.usual: Usual | None = SCENES if scenes else capabilities.usual(self._pipe, self._preset)
        self.largest_batch = largest_batch or (8 if scenes else 4 if cuda else 1)
        self._easel = Easel(
            self._family.means, (self.usual.width, self.usual.height), capabilities.multiple(self._pipe),
            fixed=scenes, alone=any(way.many for way in ways), reads=reading.reader(self._pipe),
        )  # fmt: skip
        self._wardrobe = Wardrobe(self._pipe, options.styles)
        self._lens = Lens()
        self._device = device
        self._fitted = 1.0  # largest call that succeeded, in images of the default size
        self._thrift = self._ways_to_need_less() if cuda else iter(())
        self._files = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="files")
        if options.compile:
            self._warm_up()

    def _warm_up(self) -> None:
        """Render once, so that the model compiles before the first user waits; undo the compiling if that fails."""
        told: list[WorkerEvent] = []
        self.paint(
            Batch([Task("", Operation.GENERATE, "a red circle", 0, num_inference_steps=2)]), told.append, Event()
        )
        if not any(isinstance(event, Made) for event in told):
            as_written(self._pipe)
            log.warning("this machine cannot compile the model: continuing without")

    def paint(self, batch: Batch, tell: Tell, cancelled: Event) -> None:
        """Render the tasks of a batch, in as few pipeline calls as the device's memory allows."""
        sitting = Sitting(len(batch.tasks), self.model, tell, cancelled, self._files)
        wishes = []
        for task in batch.tasks:
            try:
                wishes.append(wish(task, self._easel))
            except ValueError as error:
                sitting.spoilt(task, error)
        try:
            for group in alike(wishes, self._easel):
                while group:
                    sitting.go_on()
                    room = max(1, int(self.largest_batch / self._size(group[0])))
                    self._render(group[:room], sitting)
                    group = group[room:]
        finally:
            sitting.finish()

    def _render(self, wishes: list[Wish], sitting: Sitting) -> None:
        """Render all images in one call; if the call fails, one by one, so that a bad image fails alone."""
        fault = self._attempt(wishes, sitting)
        if fault is None:
            return
        no_memory = _no_memory(fault)
        if no_memory:
            self._ran_out(len(wishes) * self._size(wishes[0]))
        if len(wishes) > 1:
            log.warning("a call with %s images failed (%s); now one by one", len(wishes), type(fault).__name__)
            for one in wishes:
                self._render([one], sitting)
        elif no_memory and next(self._thrift, None):
            self._render(wishes, sitting)
        elif isinstance(fault, TypeError | AttributeError) and self._family.drop(wishes[0].plan.way):
            log.warning("this model fails at %s (%s); the method is dropped", wishes[0].plan.way, fault)
            self._easel = replace(self._easel, means=self._family.means)
            self._render([wish(wishes[0].task, self._easel)], sitting)
        else:
            log.error("an image failed", exc_info=fault)
            sitting.spoilt(wishes[0].task, MemoryError() if no_memory else fault)

    def _attempt(self, wishes: list[Wish], sitting: Sitting) -> Exception | None:
        """Render the images of one call, or return the error, without its traceback if that holds device memory."""
        try:
            wishes = [self._settled(each) for each in wishes]
            if wishes[0].plan.way is Way.RESIZE:
                sitting.made(wishes, [_resized(each) for each in wishes])
                return None
            if len({(each.plan.way, each.plan.strength) for each in wishes}) > 1 and not self._easel.means.described:
                for each in wishes:  # a mask was found for some of the images only
                    self._render([each], sitting)
                return None
            images, faults = self._call(wishes, sitting)
        except Cancelled:
            raise
        except Exception as error:
            no_memory = _no_memory(error)
            if isinstance(error, torch.AcceleratorError) and not no_memory:
                raise Broken(str(error)) from error  # after such an error, every CUDA call of the process fails
            if no_memory or len(wishes) > 1:  # its frames refer to tensors that fill the memory
                error.__traceback__ = error.__context__ = error.__cause__ = None
            return error
        self._fitted = max(self._fitted, len(wishes) * self._size(wishes[0]))
        good = [(each, image) for each, image, fault in zip(wishes, images, faults, strict=True) if not fault]
        sitting.made([each for each, _ in good], [finished(each, image) for each, image in good])
        for each, fault in zip(wishes, faults, strict=True):
            if fault:
                sitting.spoilt(each.task, ValueError(fault))
        return None

    def _settled(self, wish: Wish) -> Wish:
        """Compute the inpainting mask if there is none; if that fails, change the plan to image to image."""
        if wish.plan.way is not Way.MASK or not self._easel.means.starts or wish.mask or wish.source is None:
            return wish
        pipe, taken = self._family.pipe(Way.START)
        place = contrast.mask(pipe, taken, wish, self._worn(taken, wish))
        if place:
            share = sum(place.histogram()[128:]) / (place.width * place.height)
            return replace(wish, mask=place, plan=replace(wish.plan, share=share))
        how_much = strength(wish.task.before, wish.plan.prompt)
        return replace(wish, plan=Plan(Way.START, wish.plan.prompt, how_much))

    def _call(self, wishes: list[Wish], sitting: Sitting) -> tuple[list[Image.Image], list[str]]:
        """Call the pipeline: the images, and a sentence for every image that is NaN or blocked; else an empty text."""
        way = next((each.plan.way for each in wishes if each.source), wishes[0].plan.way)
        pipe, taken = self._family.pipe(way)
        watch = Watch(wishes, sitting, self._lens)
        given = arguments(pipe, taken, wishes, self._preset) | self._worn(taken, wishes[0], way is Way.REFERENCE)
        if "clean" in getattr(pipe, "_callback_tensor_inputs", ()):
            given["callback_on_step_end_tensor_inputs"] = ["clean"]
        with fewer_passes(pipe, self._step_cache):
            if taken.callback:
                output = pipe(**given, callback_on_step_end=watch.on_step)
            else:
                with watch.hooked(pipe):
                    output = pipe(**given)
        flagged = getattr(output, "nsfw_content_detected", None) or [False] * len(wishes)
        faults = [HELD_BACK if held else "" for held in flagged]
        broken = watch.without_numbers()
        faults = [fault or (NOT_A_NUMBER if row in broken else "") for row, fault in enumerate(faults)]
        if not any(faults):
            watch.learn(output.images)
        return output.images, faults

    def _worn(self, taken: Takes, wish: Wish, looks: bool = False) -> dict[str, Any]:
        """Apply the LoRA of the task; returns the IP-Adapter arguments of the call. Raises ValueError."""
        self._wardrobe.dress(wish.task.lora, wish.task.lora_scale)
        return self._eye.look(wish.source if looks else None) if taken.ip_adapter else {}

    def _size(self, wish: Wish) -> float:
        """The area of the planned image in images of the default size."""
        assert self.usual
        if self._easel.fixed or not wish.size:
            return 1.0
        return wish.size[0] * wish.size[1] / (self.usual.width * self.usual.height)

    def _ran_out(self, size: float) -> None:
        """Reduce `largest_batch` after an out-of-memory error, to the largest call that succeeded, or half of `size`.

        `size` counts images of the default size.
        """
        torch.cuda.empty_cache()
        fitted = self._fitted if self._fitted < size else 1.0
        self.largest_batch = max(1, min(self.largest_batch, int(max(fitted, size / 2))))
        log.warning("out of device memory with a batch of %.1f; the largest batch is now %s", size, self.largest_batch)

    def _ways_to_need_less(self) -> Iterator[str]:
        """Turn on one way to save device memory at each `next`, for good: slower, but the image can be rendered."""
        self._pipe.maybe_free_model_hooks()
        self._pipe.enable_model_cpu_offload(device=self._device)
        self._family.forget()
        log.warning("the model does not fit the device's memory: its components are offloaded from now on")
        yield "offload"
        vae = getattr(self._pipe, "vae", None)
        ways = [way for name in ("enable_slicing", "enable_tiling") if (way := getattr(vae, name, None))]
        for way in ways:
            way()
        if ways:
            log.warning("the VAE decodes images in slices and tiles from now on")
            yield "pieces"


def _resized(wish: Wish) -> Image.Image:
    assert wish.source
    assert wish.size
    return wish.source.resize(wish.size, Image.Resampling.LANCZOS)


def _no_memory(error: Exception) -> bool:
    """Whether the error means out of memory: some libraries raise a plain RuntimeError for it."""
    said = str(error)
    known = "out of memory" in said or "can't allocate memory" in said or "ALLOC_FAILED" in said
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and known)
