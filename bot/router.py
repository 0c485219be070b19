"""An image request -> what is to be done, and from which picture it starts. Pure.

The six kinds of turn of the paper end here: generation, variation, selection, editing and refinement; a question
never makes a request.
"""

from collections.abc import Container
from dataclasses import dataclass, replace

from bot.domain import Failed, ImageRequest, Operation
from bot.intent import points_at_picture


@dataclass(frozen=True, slots=True)
class Routed:
    """A request that can be carried out; `start` is the number of the picture that it starts from."""

    request: ImageRequest
    start: int | None = None


def route(request: ImageRequest, known: Container[int], newest: int | None, text: str = "") -> Routed | Failed:
    """Settle which picture is meant: the one that is named, or else `newest`, the one that is talked about.

    A change without any picture to change is a new picture, as long as its words tell what is to be seen, and the
    person's own `text` does not speak of a picture that never came ("this photo").
    """
    if request.operation is Operation.GENERATE:
        return Routed(request)
    start = newest if request.of is None else request.of
    if start is not None and start in known:
        return Routed(request, start)
    if newest is None and request.prompt and request.operation is not Operation.SELECT and not points_at_picture(text):
        return Routed(replace(request, operation=Operation.GENERATE, of=None, change=""))
    if newest is None:
        return Failed("There is no picture in this thread yet: send one along, or ask for a new one.")
    return Failed(f"There is no picture #{start} in this thread.")
