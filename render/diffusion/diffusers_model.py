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

from bot.capabilities import Dialect, Editing, ModelCapabilities
from bot.domain import Operation, Sampling
from bot.notices import Notice, notice
from render.diffusion import diffedit_mask as contrast
from render.diffusion import prompt_limit as reading
from render.diffusion.ip_adapter import IpAdapter
from render.diffusion.latent_preview import PreviewDecoder
from render.diffusion.loading import BUILTIN_WEIGHTS
from render.diffusion.loading import load_pipeline as loaded
from render.diffusion.lora import LoraLoader
from render.diffusion.pipeline_args import pipeline_arguments
from render.diffusion.pipelines import SiblingPipelines
from render.diffusion.speedups import apply_speedups, step_cache, undo_compile
from render.diffusion.step_callback import StepCallback
from render.image_model import Cancelled, DeviceBroken, EventCallback, ModelRefusal, Options
from render.models import introspection as capabilities
from render.models.batch import (
    BatchProgress,
    ModelLimits,
    PlannedImage,
    group_by_call,
    plan_image,
    restore_outside_mask,
)
from render.models.edit_plan import EditMethod, EditPlan, edit_strength
from render.models.introspection import PipelineSignature
from render.models.model_revision import find_revision, hash_folder
from render.models.presets import find_preset
from render.protocol import Batch, Defaults, ImageDone, ImageTask, WorkerEvent

log = logging.getLogger(__name__)

BUILTIN_DEFAULTS = Defaults(256, 256, 8)
SAFETY_CHECKER_BLOCKED = notice("image-unsafe")
NAN_LATENTS = notice("image-not-a-number")


_DEFAULT_OPTIONS = Options()


class DiffusersModel:
    """A loaded diffusers pipeline on its device, with its sibling pipelines, LoRAs and IP-Adapter."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        largest_batch: int | None = None,
        load: Callable[[str, str], Any] | None = None,
        options: Options = _DEFAULT_OPTIONS,
    ) -> None:
        """`largest_batch` counts images of the default size; None means what most devices of the kind can hold."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        scenes, cuda = model == "builtin", device.startswith("cuda")
        with ThreadPoolExecutor(1) as reader:  # read the files while they are loaded: only once from the disk
            folder = reader.submit(hash_folder, BUILTIN_WEIGHTS) if scenes else reader.submit(find_revision, model)
            self._pipe = load(model, device) if load else loaded(model, device, options)
        self.model = model
        self.revision = folder.result() or find_revision(model)
        log.info("%s: %s", model, "; ".join(apply_speedups(self._pipe, device, options)))
        self._step_cache = options.step_cache
        self._preset = find_preset(model)
        self._ip_adapter = IpAdapter(self._pipe, options.ip_adapter)
        self._pipelines = SiblingPipelines(
            self._pipe, needs_full_description=scenes, has_ip_adapter=self._ip_adapter.is_loaded
        )
        ways = self._pipelines.signatures()
        known = capabilities.read_capabilities(self._pipe, ways, self._preset)
        self.capabilities = ModelCapabilities(Editing.DESCRIBE, Dialect.SCENES) if scenes else known
        self.defaults: Defaults | None = (
            BUILTIN_DEFAULTS if scenes else capabilities.read_defaults(self._pipe, self._preset)
        )
        self.largest_batch = largest_batch or (8 if scenes else 4 if cuda else 1)
        self._limits = ModelLimits(
            self._pipelines.methods,
            (self.defaults.width, self.defaults.height),
            capabilities.size_multiple(self._pipe),
            has_fixed_size=scenes,
            edits_one_at_a_time=any(way.many_sources for way in ways),
            truncate_prompt=reading.prompt_truncator(self._pipe),
        )
        self._lora_loader = LoraLoader(self._pipe, options.styles)
        self._preview_decoder = PreviewDecoder()
        self._device = device
        self._largest_rendered = 1.0  # largest call that succeeded, in images of the default size
        self._memory_savers = self._save_memory() if cuda else iter(())
        self._file_executor = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="files")
        if options.compile:
            self._warm_up()

    def _warm_up(self) -> None:
        """Render once, so that the model compiles before the first user waits; undo the compiling if that fails."""
        events: list[WorkerEvent] = []
        self.render(
            Batch([ImageTask("", Operation.GENERATE, "a red circle", sampling=Sampling(num_inference_steps=2))]),
            events.append,
            Event(),
        )
        if not any(isinstance(event, ImageDone) for event in events):
            undo_compile(self._pipe)
            log.warning("this machine cannot compile the model: continuing without")

    def render(self, batch: Batch, on_event: EventCallback, cancelled: Event) -> None:
        """Render the tasks of a batch, in as few pipeline calls as the device's memory allows."""
        sitting = BatchProgress(len(batch.tasks), self.model, on_event, cancelled, self._file_executor)
        wishes = []
        for task in batch.tasks:
            try:
                wishes.append(plan_image(task, self._limits))
            except ValueError as error:
                sitting.report_failure(task, error)
        try:
            for group in group_by_call(wishes, self._limits):
                while group:
                    sitting.raise_if_cancelled()
                    room = max(1, int(self.largest_batch / self._relative_size(group[0])))
                    self._render_group(group[:room], sitting)
                    group = group[room:]
        finally:
            sitting.wait_for_files()

    def _render_group(self, planned: list[PlannedImage], progress: BatchProgress) -> None:
        """Render all images in one call; if the call fails, one by one, so that a bad image fails alone."""
        fault = self._try_render(planned, progress)
        if fault is None:
            return
        no_memory = _is_out_of_memory(fault)
        if no_memory:
            self._shrink_batches(len(planned) * self._relative_size(planned[0]))
        if len(planned) > 1:
            log.warning("a call with %s images failed (%s); now one by one", len(planned), type(fault).__name__)
            for one in planned:
                self._render_group([one], progress)
        elif no_memory and next(self._memory_savers, None):
            self._render_group(planned, progress)
        elif isinstance(fault, TypeError | AttributeError) and self._pipelines.drop_method(planned[0].plan.method):
            log.warning("this model fails at %s (%s); the method is dropped", planned[0].plan.method, fault)
            self._limits = replace(self._limits, methods=self._pipelines.methods)
            self._render_group([plan_image(planned[0].task, self._limits)], progress)
        else:
            log.error("an image failed", exc_info=fault)
            progress.report_failure(planned[0].task, MemoryError() if no_memory else fault)

    def _try_render(self, planned: list[PlannedImage], progress: BatchProgress) -> Exception | None:
        """Render the images of one call, or return the error, without its traceback if that holds device memory."""
        try:
            planned = [self._with_mask(each) for each in planned]
            if planned[0].plan.method is EditMethod.RESIZE:
                progress.finish_images(planned, [_resize_source(each) for each in planned])
                return None
            if (
                len({(each.plan.method, each.plan.strength) for each in planned}) > 1
                and not self._limits.methods.needs_full_description
            ):
                for each in planned:  # a mask was found for some of the images only
                    self._render_group([each], progress)
                return None
            images, faults = self._call_pipeline(planned, progress)
        except Cancelled:
            raise
        except Exception as error:
            no_memory = _is_out_of_memory(error)
            if isinstance(error, torch.AcceleratorError) and not no_memory:
                raise DeviceBroken(str(error)) from error  # after such an error, every CUDA call of the process fails
            if no_memory or len(planned) > 1:  # its frames refer to tensors that fill the memory
                error.__traceback__ = error.__context__ = error.__cause__ = None
            return error
        self._largest_rendered = max(self._largest_rendered, len(planned) * self._relative_size(planned[0]))
        good = [(each, image) for each, image, fault in zip(planned, images, faults, strict=True) if not fault]
        progress.finish_images([each for each, _ in good], [restore_outside_mask(each, image) for each, image in good])
        for each, fault in zip(planned, faults, strict=True):
            if fault:
                progress.report_failure(each.task, ModelRefusal(fault))
        return None

    def _with_mask(self, planned: PlannedImage) -> PlannedImage:
        """Compute the inpainting mask if there is none; if that fails, change the plan to image to image."""
        if (
            planned.plan.method is not EditMethod.INPAINT
            or not self._limits.methods.image_to_image
            or planned.mask
            or planned.source is None
        ):
            return planned
        pipe, taken = self._pipelines.pipeline_for(EditMethod.IMAGE_TO_IMAGE)
        mask = contrast.compute_mask(pipe, taken, planned, self._apply_adapters(taken, planned))
        if mask:
            share = sum(mask.histogram()[128:]) / (mask.width * mask.height)
            return replace(planned, mask=mask, plan=replace(planned.plan, changed_share=share))
        strength = edit_strength(planned.task.source_prompt, planned.plan.prompt)
        return replace(planned, plan=EditPlan(EditMethod.IMAGE_TO_IMAGE, planned.plan.prompt, strength))

    def _call_pipeline(
        self, planned: list[PlannedImage], progress: BatchProgress
    ) -> tuple[list[Image.Image], list[Notice | None]]:
        """Call the pipeline: the images, and for each why it is NaN or blocked, or None."""
        way = next((each.plan.method for each in planned if each.source), planned[0].plan.method)
        pipe, taken = self._pipelines.pipeline_for(way)
        watch = StepCallback(planned, progress, self._preview_decoder)
        given = pipeline_arguments(pipe, taken, planned, self._preset) | self._apply_adapters(
            taken, planned[0], way is EditMethod.IMAGE_PROMPT
        )
        if "clean" in getattr(pipe, "_callback_tensor_inputs", ()):
            given["callback_on_step_end_tensor_inputs"] = ["clean"]
        with step_cache(pipe, self._step_cache):
            if taken.step_callback:
                output = pipe(**given, callback_on_step_end=watch.on_step_end)
            else:
                with watch.forward_hook(pipe):
                    output = pipe(**given)
        flagged = getattr(output, "nsfw_content_detected", None) or [False] * len(planned)
        faults = [SAFETY_CHECKER_BLOCKED if held else None for held in flagged]
        broken = watch.non_finite_rows()
        faults = [fault or (NAN_LATENTS if row in broken else None) for row, fault in enumerate(faults)]
        if not any(faults):
            watch.learn_preview(output.images)
        return output.images, faults

    def _apply_adapters(
        self, signature: PipelineSignature, planned: PlannedImage, use_source: bool = False
    ) -> dict[str, Any]:
        """Apply the LoRA of the task; returns the IP-Adapter arguments of the call. Raises ValueError."""
        self._lora_loader.apply(planned.task.sampling.lora, planned.task.sampling.lora_scale)
        return self._ip_adapter.call_arguments(planned.source if use_source else None) if signature.ip_adapter else {}

    def _relative_size(self, planned: PlannedImage) -> float:
        """The area of the planned image in images of the default size."""
        assert self.defaults
        if self._limits.has_fixed_size or not planned.size:
            return 1.0
        return planned.size[0] * planned.size[1] / (self.defaults.width * self.defaults.height)

    def _shrink_batches(self, size: float) -> None:
        """Reduce `largest_batch` after an out-of-memory error, to the largest call that succeeded, or half of `size`.

        `size` counts images of the default size.
        """
        torch.cuda.empty_cache()
        fitted = self._largest_rendered if self._largest_rendered < size else 1.0
        self.largest_batch = max(1, min(self.largest_batch, int(max(fitted, size / 2))))
        log.warning("out of device memory with a batch of %.1f; the largest batch is now %s", size, self.largest_batch)

    def _save_memory(self) -> Iterator[str]:
        """Turn on one way to save device memory at each `next`, for good: slower, but the image can be rendered."""
        self._pipe.maybe_free_model_hooks()
        self._pipe.enable_model_cpu_offload(device=self._device)
        self._pipelines.discard_siblings()
        log.warning("the model does not fit the device's memory: its components are offloaded from now on")
        yield "offload"
        vae = getattr(self._pipe, "vae", None)
        ways = [way for name in ("enable_slicing", "enable_tiling") if (way := getattr(vae, name, None))]
        for way in ways:
            way()
        if ways:
            log.warning("the VAE decodes images in slices and tiles from now on")
            yield "pieces"


def _resize_source(planned: PlannedImage) -> Image.Image:
    assert planned.source
    assert planned.size
    return planned.source.resize(planned.size, Image.Resampling.LANCZOS)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether the error means out of memory: some libraries raise a plain RuntimeError for it."""
    said = str(error)
    known = "out of memory" in said or "can't allocate memory" in said or "ALLOC_FAILED" in said
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (isinstance(error, RuntimeError) and known)
