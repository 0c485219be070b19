"""Loads the pipeline of a model onto a device, or raises a sentence that says why it cannot be loaded."""

import json
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline, PipelineQuantizationConfig
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError
from tqdm import tqdm

from bot.notices import Notice, notice
from render.builtin.pipeline import ScenePipeline
from render.image_model import ModelLoadError, Options

BUILTIN_WEIGHTS = Path(__file__).parent.parent / "builtin" / "weights"
QUANTIZATION_BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "8bit": ("bitsandbytes_8bit", {"load_in_8bit": True}),
    "4bit": (
        "bitsandbytes_4bit",
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
    ),
}
MODEL_INDEX = "model_index.json"
ALLOWED_LIBRARIES = frozenset({"diffusers", "transformers", "flax"})  # libraries whose classes a model folder may name


def load_pipeline(model: str, device: str, options: Options) -> Any:
    """Load the pipeline of `builtin`, a folder or a hub id onto a device. Raises ModelLoadError."""
    diffusers.utils.logging.disable_progress_bar()
    tqdm.set_lock(RLock())  # tqdm's own is a semaphore, which leaks when this process is killed
    if model == "builtin":
        pipe: Any = ScenePipeline.from_pretrained(BUILTIN_WEIGHTS, dtype=torch.float32)
    else:
        check_model(model)
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        pickles = None if options.allow_pickles == model else True
        fewer_bits = _quantization_config(options.quantise)
        try:
            pipe = DiffusionPipeline.from_pretrained(
                model, dtype=dtype, use_safetensors=pickles, quantization_config=fewer_bits
            )
        except Exception as error:
            raise ModelLoadError(load_error_sentence(model, error)) from error
    _move_to_device(pipe, device, options.offload)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _move_to_device(pipe: Any, device: str, offload: str) -> None:
    """Move the pipeline to the device, with offloading if it is set or if the pipeline does not fit."""
    if offload == "layers":
        pipe.enable_sequential_cpu_offload(device=device)
    elif offload == "parts":
        pipe.enable_model_cpu_offload(device=device)
    else:
        try:
            pipe.to(device)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            pipe.enable_model_cpu_offload(device=device)


def _quantization_config(bits: str) -> PipelineQuantizationConfig | None:
    """Quantization of the network and text encoders; None if off. Raises ModelLoadError if bitsandbytes is missing."""
    if not bits:
        return None
    if find_spec("bitsandbytes") is None:
        raise ModelLoadError(notice("model-needs-bitsandbytes", bits=bits))
    library, kwargs = QUANTIZATION_BACKENDS[bits]
    parts = ["transformer", "unet", "text_encoder", "text_encoder_2", "text_encoder_3"]  # if they exist
    return PipelineQuantizationConfig(quant_backend=library, quant_kwargs=kwargs, components_to_quantize=parts)


def check_model(model: str) -> None:
    """Raises ModelLoadError for a folder that is not a pipeline or needs custom code, and for a malformed hub id."""
    folder = Path(model)
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
            raise ModelLoadError(notice("model-no-folder", model=model))
        return
    try:
        index = json.loads((folder / MODEL_INDEX).read_text(encoding="utf-8"))
        classes = {name: part for name, part in index.items() if not name.startswith("_")}
    except FileNotFoundError:
        raise ModelLoadError(notice("model-no-pipeline", model=model, file=MODEL_INDEX)) from None
    except (ValueError, AttributeError):
        raise ModelLoadError(notice("model-index-damaged", model=model, file=MODEL_INDEX)) from None
    wanted = index.get("_class_name")
    if not isinstance(wanted, str) or not hasattr(diffusers, wanted):
        raise ModelLoadError(notice("model-custom-class", model=model, name=str(wanted)))
    for name, part in classes.items():
        if (
            isinstance(part, list)
            and part
            and part[0]
            and part[0] not in ALLOWED_LIBRARIES
            and not _is_diffusers_package(part[0])
        ):
            raise ModelLoadError(notice("model-custom-part", model=model, name=name))
        if isinstance(part, list) and all(part) and not (folder / name).is_dir():
            raise ModelLoadError(notice("model-part-missing", model=model, name=name))


def _is_diffusers_package(library: str) -> bool:
    """Whether the name is a package of diffusers.pipelines: some have their own classes, such as safety checkers."""
    return hasattr(diffusers.pipelines, library)


def load_error_sentence(model: str, error: Exception) -> Notice:
    """A sentence that says why the model cannot be loaded, and the fix where there is one."""
    said = str(error)
    match error:
        case GatedRepoError():
            return notice("model-gated", model=model)
        case RepositoryNotFoundError():
            return notice("model-not-on-hub", model=model)
        case LocalEntryNotFoundError() | HfHubHTTPError() | ConnectionError():
            return notice("model-hub-unreachable", model=model)
        case torch.OutOfMemoryError() | MemoryError():
            return notice("model-too-large", model=model)
    if ("safetensors" in said or "no file named" in said) and isinstance(error, OSError | ValueError):
        return notice("model-pickled", model=model)
    return notice("model-cannot-load", model=model, error=type(error).__name__)
