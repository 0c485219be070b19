"""Capabilities of an image model, and the kind of prompt that suits it: values only."""

from dataclasses import dataclass
from enum import StrEnum

IMAGES_API_PREFIX = "openai:"  # prefix of IMAGE_MODEL for a model of an images API
LARGEST_SIDE = 4096  # pixels of the longer side of an upscaled image


class Editing(StrEnum):
    """The kind of prompt that an image model needs for an edit."""

    DESCRIBE = "describe"  # a description of the whole image after the edit
    INSTRUCT = "instruct"  # only the change
    REDRAW = "redraw"  # the model cannot start from an image: it generates a new one


class Dialect(StrEnum):
    """The kind of language that an image model understands best."""

    SENTENCES = "sentences"  # full sentences: the text encoder is T5 or a language model
    PHRASES = "phrases"  # phrases: the text encoder is CLIP, which reads at most 77 tokens
    SCENES = "scenes"  # simple scenes: the built-in model knows a few hundred words


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """The features of the loaded image model.

    `ratios` says whether the model can generate other aspect ratios than its default, `negatives` whether the model
    takes a negative prompt.
    """

    editing: Editing = Editing.DESCRIBE
    dialect: Dialect = Dialect.SENTENCES
    ratios: bool = False
    negatives: bool = False


class RefineMode(StrEnum):
    """When the chat model rewrites a short prompt before the image is rendered."""

    OFF = "off"
    AUTO = "auto"  # only where refinement is known to help: short prompts
    ALWAYS = "always"
