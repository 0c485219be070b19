"""Every family of pipelines that the tests know, and what each is expected to be able to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.support.tiny_models import flux, others, qwen, unets


class Way(StrEnum):
    """How a picture comes to be."""

    TEXT = "text"  # from a prompt alone
    IMAGE = "image"  # from a picture that is noised and painted again, more or less of it
    INPAINT = "inpaint"  # within a mask
    INSTRUCT = "instruct"  # from a picture and what is to change in it
    REFERENCES = "references"  # from several pictures at once


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of pipeline. `ways` are those of its weights, some through a sibling of its class.

    `guidance` is the argument that makes it follow the prompt more closely, None where none does; for `true_cfg_scale`
    there must be a negative prompt too. `negative` tells whether it takes one. `batches` tells whether one call serves
    several requests, each with the pixels of a call of its own; they are prompts alone where TEXT is one of the ways.
    """

    name: str
    build: Callable[[], Any]
    ways: frozenset[Way]
    guidance: str | None = "guidance_scale"
    ip_adapter: bool = False
    lora: bool = True
    negative: bool = True
    batches: bool = True
    slow: bool = False  # about half a second a call, where others take a tenth
    extra: Mapping[str, Any] = field(default_factory=dict)  # without them it paints a million pixels, whatever is asked


def _ways(*ways: Way) -> frozenset[Way]:
    return frozenset(ways)


# What the libraries warn of when these are built and called, as filters of pytest, which makes errors of warnings.
UPSTREAM = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # schedulers, under numpy 2
    "ignore:.FluxPosEmbed. is deprecated:FutureWarning",  # Chroma's transformer uses it itself
)
DESCRIBED = _ways(Way.TEXT, Way.IMAGE, Way.INPAINT)
SMALL = {"max_area": 64 * 64, "_auto_resize": False}

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("sd", unets.sd, DESCRIBED, ip_adapter=True),
        Family("instruct-pix2pix", unets.instruct_pix2pix, _ways(Way.INSTRUCT), ip_adapter=True),
        Family("sdxl", unets.sdxl, DESCRIBED, ip_adapter=True),
        Family("sdxl-turbo", unets.sdxl_turbo, DESCRIBED, ip_adapter=True),
        Family("sdxl-eyes", unets.sdxl_with_eyes, DESCRIBED, ip_adapter=True),
        Family("sd3", others.sd3, DESCRIBED, ip_adapter=True),
        Family("flux-dev", flux.flux_dev, DESCRIBED, ip_adapter=True),
        Family("flux-schnell", flux.flux_schnell, DESCRIBED, guidance=None, ip_adapter=True),
        Family(
            "flux-kontext", flux.flux_kontext, _ways(Way.TEXT, Way.INSTRUCT, Way.INPAINT), ip_adapter=True, extra=SMALL
        ),
        Family("flux-fill", flux.flux_fill, _ways(Way.INPAINT), negative=False),
        Family(
            "flux2-klein", flux.flux2_klein, _ways(Way.TEXT, Way.INSTRUCT, Way.REFERENCES, Way.INPAINT),
            guidance=None, negative=False,
        ),
        Family(
            "flux2-klein-base", flux.flux2_klein_base,
            _ways(Way.TEXT, Way.INSTRUCT, Way.REFERENCES, Way.INPAINT), negative=False,
        ),
        Family("qwen-image", qwen.qwen_image, DESCRIBED, guidance="true_cfg_scale"),
        # Its sibling for masks paints a million pixels whatever is asked, and takes some seconds.
        Family(
            "qwen-image-edit", qwen.qwen_image_edit, _ways(Way.INSTRUCT, Way.INPAINT), guidance="true_cfg_scale",
            slow=True,
        ),
        Family(
            "qwen-image-edit-plus", qwen.qwen_image_edit_plus, _ways(Way.INSTRUCT, Way.REFERENCES),
            guidance="true_cfg_scale", batches=False, slow=True,
        ),
        Family("z-image", qwen.z_image, DESCRIBED),
        Family("sana", others.sana, _ways(Way.TEXT)),
        Family("pixart-sigma", others.pixart_sigma, _ways(Way.TEXT), lora=False),
        Family("lumina2", others.lumina2, _ways(Way.TEXT)),
        # Its sibling for masks asks the transformer for a setting that it does not have.
        Family("chroma", flux.chroma, _ways(Way.TEXT, Way.IMAGE), ip_adapter=True),
        Family("stranger", unets.stranger, _ways(Way.TEXT), lora=False, negative=False),
    )
}  # fmt: skip


def saved(pipe: Any, folder: Path) -> Path:
    """Writes it as it would lie on the hub: `DiffusionPipeline.from_pretrained` reads the folder.

    The stranger alone must be read by its own class.
    """
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder
