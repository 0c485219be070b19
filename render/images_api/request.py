"""Builds requests to an OpenAI-compatible images API, and finds the image in a response. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

from bot.capabilities import Dialect, Editing, ModelCapabilities
from bot.notices import UserText
from render.models.batch import size_note
from render.protocol import ImageTask

OPENAI = "https://api.openai.com/v1"
PARTIAL_IMAGES = 2  # previews of an image; OpenAI sends at most three and charges for every preview
MIN_RATIO_DIFFERENCE = 1.05  # up to this factor, another aspect ratio than requested gets no note

Size = tuple[int, int]

_OPENAI_MODELS = r"^(?:gpt-image|chatgpt-image|dall-e)"
_FIXED_SIZES: tuple[tuple[str, tuple[Size, ...]], ...] = (
    (r"^(?:gpt-image-1(?!\d)|chatgpt-image)", ((1024, 1024), (1536, 1024), (1024, 1536))),
    (r"^dall-e-3", ((1024, 1024), (1792, 1024), (1024, 1792))),
    (r"^dall-e-2", ((1024, 1024), (512, 512), (256, 256))),
)  # other models accept any size that is divisible by 16


def fixed_sizes(model: str) -> tuple[Size, ...]:
    """The only sizes that the model accepts; empty if it accepts other sizes, too, or is unknown."""
    return next((known for pattern, known in _FIXED_SIZES if re.search(pattern, model)), ())


def model_capabilities(model: str, can_edit: bool = True) -> ModelCapabilities:
    """The capabilities of a model of an images API; `can_edit`: its server supports edits."""
    instructed = can_edit and not re.search(r"^dall-e", model)
    return ModelCapabilities(Editing.INSTRUCT if instructed else Editing.REDRAW, Dialect.SENTENCES, ratios=True)


def closest_size(requested: Size, allowed: Iterable[Size]) -> Size:
    """The allowed size with the nearest aspect ratio, then the nearest area; `requested` if none is given."""

    def distance(size: Size) -> tuple[float, float]:
        shape = abs(log(size[0] / size[1]) - log(requested[0] / requested[1]))
        return shape, abs(log(size[0] * size[1]) - log(requested[0] * requested[1]))

    return min(allowed, key=distance, default=requested)


def size_mismatch_note(task: ImageTask, requested: Size, received: Size) -> UserText:
    """The note for an image with another aspect ratio, or another size than the user set; empty if it is right."""
    turned = max(received[0] * requested[1], received[1] * requested[0]) / min(
        received[0] * requested[1], received[1] * requested[0]
    )
    sized = task.sampling.size is not None and received != requested
    if turned <= MIN_RATIO_DIFFERENCE and not sized:
        return ""
    return size_note("note-other-size", requested, received)


# The request


@dataclass(frozen=True, slots=True)
class OptionalParameter:
    """A parameter that not every server accepts.

    `pattern` finds its name in an error message, `unsupported_models` matches models that are known not to accept it,
    and `dependents` are parameters that are omitted together with it.
    """

    name: str
    pattern: str
    unsupported_models: str = r"(?!)"
    dependents: tuple[str, ...] = ()


OPTIONAL_PARAMETERS = (
    OptionalParameter("partial_images", r"partial[_ ]images?", r"^dall-e"),
    OptionalParameter("stream", r"stream(?:ing|ed)?", r"^dall-e", dependents=("partial_images",)),
    OptionalParameter("response_format", r"response[_ ]format", r"^(?:gpt-image|chatgpt-image)"),
    OptionalParameter("output_format", r"output[_ ]format", r"^dall-e"),
    OptionalParameter("size", r"sizes?|width|height|resolution|\d{2,4}x\d{2,4}"),
    OptionalParameter("seed", r"seed", _OPENAI_MODELS),
    OptionalParameter("num_inference_steps", r"num[_ ]inference[_ ]steps|steps", _OPENAI_MODELS),
    OptionalParameter("guidance_scale", r"guidance[_ ]scale|guidance", _OPENAI_MODELS),
    OptionalParameter("mask", r"masks?"),
)


def unsupported_parameters(model: str) -> frozenset[str]:
    """The parameters that the model is known not to accept."""
    return frozenset(extra.name for extra in OPTIONAL_PARAMETERS if re.search(extra.unsupported_models, model))


def request_body(task: ImageTask, model: str, prompt: str, size: Size, omitted: frozenset[str]) -> dict[str, object]:
    """The body of a request for one image, without the `omitted` parameters."""
    extras = {
        "stream": True,
        "partial_images": PARTIAL_IMAGES,
        "response_format": "b64_json",
        "output_format": "png",
        "size": f"{size[0]}x{size[1]}",
        "seed": task.seed,
        "num_inference_steps": task.sampling.num_inference_steps,
        "guidance_scale": task.sampling.guidance_scale,
    }
    sent = {name: value for name, value in extras.items() if value is not None and name not in omitted}
    return {"model": model, "prompt": prompt} | sent


# The response


@dataclass(frozen=True, slots=True)
class ReceivedImage:
    """An image of a response, in base64 or at a URL. `preview_index` counts from 0; None for the final image."""

    base64: str = ""
    url: str = ""
    preview_index: int | None = None


def find_image(answer: object) -> ReceivedImage | None:
    """The image in a JSON response, or in an event of a stream; None if there is none."""
    if not isinstance(answer, Mapping):
        return None
    listed = answer.get("data")
    held = listed[0] if isinstance(listed, list) and listed else answer
    if not isinstance(held, Mapping):
        return None
    data, url = held.get("b64_json"), held.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        data, url = url, None
    if isinstance(data, str) and data:
        return ReceivedImage(base64=data.partition("base64,")[2] or data, preview_index=_preview_index(answer))
    return ReceivedImage(url=url) if isinstance(url, str) and url else None


def _preview_index(event: Mapping[str, object]) -> int | None:
    if not str(event.get("type", "")).endswith("partial_image"):
        return None
    index = event.get("partial_image_index")
    return index if isinstance(index, int) else 0
