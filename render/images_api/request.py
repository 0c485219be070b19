"""Builds requests to an OpenAI-compatible images API, and finds the image in a response. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

from bot.capabilities import Abilities, Dialect, Editing
from render.protocol import Task

OPENAI = "https://api.openai.com/v1"
PARTIALS = 2  # previews of an image; OpenAI sends at most three and charges for every preview
LEAST_TURN = 1.05  # up to this factor, another aspect ratio than requested gets no note

Size = tuple[int, int]

_OPENAIS = r"^(?:gpt-image|chatgpt-image|dall-e)"
_SIZES: tuple[tuple[str, tuple[Size, ...]], ...] = (
    (r"^(?:gpt-image-1(?!\d)|chatgpt-image)", ((1024, 1024), (1536, 1024), (1024, 1536))),
    (r"^dall-e-3", ((1024, 1024), (1792, 1024), (1024, 1792))),
    (r"^dall-e-2", ((1024, 1024), (512, 512), (256, 256))),
)  # other models accept any size that is divisible by 16


def sizes(model: str) -> tuple[Size, ...]:
    """The only sizes that the model accepts; empty if it accepts other sizes, too, or is unknown."""
    return next((known for pattern, known in _SIZES if re.search(pattern, model)), ())


def abilities(model: str, edits: bool = True) -> Abilities:
    """The capabilities of a model of an images API; `can_edit`: its server supports edits."""
    instructed = edits and not re.search(r"^dall-e", model)
    return Abilities(Editing.INSTRUCT if instructed else Editing.REDRAW, Dialect.SENTENCES, ratios=True)


def closest(wanted: Size, among: Iterable[Size]) -> Size:
    """The allowed size with the nearest aspect ratio, then the nearest area; `requested` if none is given."""

    def distance(size: Size) -> tuple[float, float]:
        shape = abs(log(size[0] / size[1]) - log(wanted[0] / wanted[1]))
        return shape, abs(log(size[0] * size[1]) - log(wanted[0] * wanted[1]))

    return min(among, key=distance, default=wanted)


def misshapen(task: Task, wanted: Size, made: Size) -> str:
    """The note for an image with another aspect ratio, or another size than the user set; empty if it is right."""
    turned = max(made[0] * wanted[1], made[1] * wanted[0]) / min(made[0] * wanted[1], made[1] * wanted[0])
    sized = task.width is not None and made != wanted
    if turned <= LEAST_TURN and not sized:
        return ""
    return f"The images server made it {made[0]} x {made[1]} pixels, not {wanted[0]} x {wanted[1]}."


# The request


@dataclass(frozen=True, slots=True)
class Extra:
    """A parameter that not every server accepts.

    `pattern` finds its name in an error message, `unsupported_models` matches models that are known not to accept it,
    and `dependents` are parameters that are omitted together with it.
    """

    name: str
    named: str
    unless: str = r"(?!)"
    with_it: tuple[str, ...] = ()


EXTRAS = (
    Extra("partial_images", r"partial[_ ]images?", r"^dall-e"),
    Extra("stream", r"stream(?:ing|ed)?", r"^dall-e", with_it=("partial_images",)),
    Extra("response_format", r"response[_ ]format", r"^(?:gpt-image|chatgpt-image)"),
    Extra("output_format", r"output[_ ]format", r"^dall-e"),
    Extra("size", r"sizes?|width|height|resolution|\d{2,4}x\d{2,4}"),
    Extra("seed", r"seed", _OPENAIS),
    Extra("num_inference_steps", r"num[_ ]inference[_ ]steps|steps", _OPENAIS),
    Extra("guidance_scale", r"guidance[_ ]scale|guidance", _OPENAIS),
    Extra("mask", r"masks?"),
)


def unknown_to(model: str) -> frozenset[str]:
    """The parameters that the model is known not to accept."""
    return frozenset(extra.name for extra in EXTRAS if re.search(extra.unless, model))


def parameters(task: Task, model: str, prompt: str, size: Size, without: frozenset[str]) -> dict[str, object]:
    """The body of a request for one image, without the `omitted` parameters."""
    extras = {
        "stream": True,
        "partial_images": PARTIALS,
        "response_format": "b64_json",
        "output_format": "png",
        "size": f"{size[0]}x{size[1]}",
        "seed": task.seed,
        "num_inference_steps": task.num_inference_steps,
        "guidance_scale": task.guidance_scale,
    }
    sent = {name: value for name, value in extras.items() if value is not None and name not in without}
    return {"model": model, "prompt": prompt} | sent


# The response


@dataclass(frozen=True, slots=True)
class Found:
    """An image of a response, in base64 or at a URL. `preview_index` counts from 0; None for the final image."""

    base64: str = ""
    url: str = ""
    preview: int | None = None


def found(answer: object) -> Found | None:
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
        return Found(base64=data.partition("base64,")[2] or data, preview=_preview(answer))
    return Found(url=url) if isinstance(url, str) and url else None


def _preview(event: Mapping[str, object]) -> int | None:
    if not str(event.get("type", "")).endswith("partial_image"):
        return None
    index = event.get("partial_image_index")
    return index if isinstance(index, int) else 0
