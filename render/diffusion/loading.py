"""A model's name -> its pipeline on a device, or a sentence that says why there is none."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from render.builtin.pipeline import ScenePipeline
from render.studio import Unusable

BUILTIN = Path(__file__).parent.parent / "builtin" / "weights"
INDEX = "model_index.json"
LIBRARIES = frozenset({"diffusers", "transformers", "flax"})  # whose classes a folder may name


def load(model: str, device: str, allow_pickles: bool = False) -> Any:
    """The pipeline of `builtin`, a folder or a hub id, on its device. Raises Unusable."""
    diffusers.utils.logging.disable_progress_bar()
    if model == "builtin":
        pipe: Any = ScenePipeline.from_pretrained(BUILTIN, dtype=torch.float32)
    else:
        check(model)
        dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
        try:
            pipe = DiffusionPipeline.from_pretrained(model, dtype=dtype, use_safetensors=not allow_pickles or None)
        except Exception as error:
            raise Unusable(reason(model, error)) from error
    try:
        pipe.to(device)
    except torch.OutOfMemoryError:
        pipe.enable_model_cpu_offload(device=device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def check(model: str) -> None:
    """Refuse a folder that is no pipeline, or wants code of its own to be run. Raises Unusable."""
    folder = Path(model)
    if not folder.is_dir():
        if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
            raise Unusable(f"There is no folder {model!r}, and a model of the hub is named as in OWNER/NAME.")
        return
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        classes = {name: part for name, part in index.items() if not name.startswith("_")}
    except FileNotFoundError:
        raise Unusable(f"The folder {model!r} holds no diffusers pipeline: {INDEX} is missing.") from None
    except (ValueError, AttributeError):
        raise Unusable(f"The folder {model!r} cannot be read: {INDEX} is damaged.") from None
    wanted = index.get("_class_name")
    if not isinstance(wanted, str) or not hasattr(diffusers, wanted):
        raise Unusable(f"The model {model!r} is of the class {wanted!r}, which would need code of its own to be run.")
    for name, part in classes.items():
        if isinstance(part, list) and part and part[0] and part[0] not in LIBRARIES and not _known(part[0]):
            raise Unusable(f"The part {name!r} of {model!r} needs code of its own to be run, which is refused.")
        if isinstance(part, list) and all(part) and not (folder / name).is_dir():
            raise Unusable(f"The model {model!r} lacks its part {name!r}.")


def _known(library: str) -> bool:
    """Some pipelines keep classes, such as safety checkers, beside themselves in diffusers."""
    return hasattr(diffusers.pipelines, library)


def reason(model: str, error: Exception) -> str:
    """Why a model cannot be loaded, in a sentence."""
    said = str(error)
    match error:
        case GatedRepoError():
            return f"The model {model!r} is gated: accept its licence on its page, and set HF_TOKEN."
        case RepositoryNotFoundError():
            return f"There is no model {model!r} on the hub, or HF_TOKEN may not see it."
        case LocalEntryNotFoundError() | HfHubHTTPError() | ConnectionError():
            return f"The model {model!r} is not on this machine, and the hub cannot be reached."
        case torch.OutOfMemoryError() | MemoryError():
            return f"The model {model!r} is too large for this machine's memory."
    if ("safetensors" in said or "no file named" in said) and isinstance(error, OSError | ValueError):
        return (
            f"The model {model!r} has no safetensors files, or not all. Pickled weights can run code: they are refused"
            f" unless RENDER_ALLOW_PICKLES is {model!r}."
        )
    return f"The picture model {model!r} cannot be loaded ({type(error).__name__}); the worker's log says why."
