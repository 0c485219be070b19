"""What can be done for a message: the values between planning and telling."""

from dataclasses import dataclass

from bot.domain import Operation
from bot.offline_llm.scene import Description


@dataclass(frozen=True, slots=True)
class Draw:
    """A new picture, `times` over."""

    description: Description
    remarks: tuple[str, ...] = ()
    times: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """A picture after a change."""

    of: int
    description: Description
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refine:
    """The same picture, drawn more carefully."""

    of: int
    description: Description


@dataclass(frozen=True, slots=True)
class Pick:
    """A picture to be varied or chosen."""

    operation: Operation
    of: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Only words."""

    words: str


Act = Draw | Edit | Refine | Pick | Tell
