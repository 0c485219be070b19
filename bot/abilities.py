"""What a picture model can do, and how it wants to be told."""

from dataclasses import dataclass
from enum import StrEnum

LARGEST_SIDE = 4096  # pixels of an enlarged picture


class Editing(StrEnum):
    """What a picture model wants to be told when it changes a picture."""

    DESCRIBE = "describe"  # the whole picture as it is to be
    INSTRUCT = "instruct"  # the change alone
    REDRAW = "redraw"  # it cannot start from a picture: it draws a new one


class Dialect(StrEnum):
    """The language in which a picture model understands best what is to be seen."""

    SENTENCES = "sentences"  # a T5 or a language model reads the prompt
    PHRASES = "phrases"  # CLIP reads it, and no more than 77 tokens of it
    SCENES = "scenes"  # the built-in model, which knows a few hundred words


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a picture model can do.

    `ratios` tells whether it paints in other shapes than its own, `negatives` whether it can be told what to leave out.
    """

    editing: Editing = Editing.DESCRIBE
    dialect: Dialect = Dialect.SENTENCES
    ratios: bool = False
    negatives: bool = False


class Refining(StrEnum):
    """When a wish is turned into a better prompt before it is drawn."""

    OFF = "off"
    AUTO = "auto"  # where it is known to help: short wishes
    ALWAYS = "always"
