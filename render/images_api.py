"""What an OpenAI-compatible images API is sent, and where the picture is in its answer. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

from bot.abilities import Abilities, Dialect, Editing
from render.wire import Task

OPENAI = "https://api.openai.com/v1"
PARTIALS = 2  # previews of a picture; OpenAI makes at most three, and each costs
LEAST_TURN = 1.05  # how much the shape of a picture may differ before it is told

Size = tuple[int, int]

_OPENAIS = r"^(?:gpt-image|chatgpt-image|dall-e)"
_SIZES: tuple[tuple[str, tuple[Size, ...]], ...] = (
    (r"^(?:gpt-image-1(?!\d)|chatgpt-image)", ((1024, 1024), (1536, 1024), (1024, 1536))),
    (r"^dall-e-3", ((1024, 1024), (1792, 1024), (1024, 1792))),
    (r"^dall-e-2", ((1024, 1024), (512, 512), (256, 256))),
)  # other models take any size that is divisible by 16


def sizes(model: str) -> tuple[Size, ...]:
    """The only sizes that the model paints; empty if it paints others, too, or nothing is known."""
    return next((known for pattern, known in _SIZES if re.search(pattern, model)), ())


def abilities(model: str, edits: bool = True) -> Abilities:
    """What the bot should know of a model behind the API; `edits` tells whether its server changes pictures."""
    instructed = edits and not re.search(r"^dall-e", model)
    return Abilities(Editing.INSTRUCT if instructed else Editing.REDRAW, Dialect.SENTENCES, ratios=True)


def closest(wanted: Size, among: Iterable[Size]) -> Size:
    """The size with the nearest shape, and among those with the nearest area; `wanted` itself if there is none."""

    def distance(size: Size) -> tuple[float, float]:
        shape = abs(log(size[0] / size[1]) - log(wanted[0] / wanted[1]))
        return shape, abs(log(size[0] * size[1]) - log(wanted[0] * wanted[1]))

    return min(among, key=distance, default=wanted)


def misshapen(task: Task, wanted: Size, made: Size) -> str:
    """What is said of a picture that came in another shape, or not in the size that was asked for; mostly nothing."""
    turned = max(made[0] * wanted[1], made[1] * wanted[0]) / min(made[0] * wanted[1], made[1] * wanted[0])
    sized = task.width is not None and made != wanted
    if turned <= LEAST_TURN and not sized:
        return ""
    return f"The images server made it {made[0]} x {made[1]} pixels, not {wanted[0]} x {wanted[1]}."


# What is sent


@dataclass(frozen=True, slots=True)
class Extra:
    """A parameter that not every server takes.

    `named` is how a refusal names it, `unless` which models are known not to take it, `with_it` what makes sense only
    together with it.
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
    """The parameters that the model is known not to take."""
    return frozenset(extra.name for extra in EXTRAS if re.search(extra.unless, model))


def parameters(task: Task, model: str, prompt: str, size: Size, without: frozenset[str]) -> dict[str, object]:
    """The body of a request for one picture, without what the server does not take."""
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


# What is answered


@dataclass(frozen=True, slots=True)
class Found:
    """Where a picture is: in base64, or at an address. `preview` counts those that come before it, from 0."""

    base64: str = ""
    url: str = ""
    preview: int | None = None


def found(answer: object) -> Found | None:
    """The picture in an answer, or in an event of a stream; None if there is none."""
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
