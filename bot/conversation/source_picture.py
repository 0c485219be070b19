"""Finds the source image of an image request. Pure.

Of the six kinds of turn in the paper, five end here: generation, variation, selection, editing and refinement;
a question never makes a request.
"""

from collections.abc import Container
from dataclasses import dataclass, replace

from bot.domain import Failed, ImageRequest, Operation
from bot.notices import notice
from bot.parsing.intent import points_at_picture


@dataclass(frozen=True, slots=True)
class ResolvedRequest:
    """A request that can be carried out; `source_number` is the number of its source image, None for a new image."""

    request: ImageRequest
    source_number: int | None = None


def resolve_source(
    request: ImageRequest, picture_numbers: Container[int], current: int | None, text: str = ""
) -> ResolvedRequest | Failed:
    """Find the source image: the one that the request names, or else `current`, the one that the dialogue is about.

    A change without any image to change becomes a new image if its prompt is not empty, and if the user's own `text`
    does not refer to an image that never arrived ("this photo"). Otherwise Failed with a sentence for the user.
    """
    if request.operation is Operation.GENERATE:
        return ResolvedRequest(request)
    start = current if request.source is None else request.source
    if start is not None and start in picture_numbers:
        return ResolvedRequest(request, start)
    if current is None and request.prompt and request.operation is not Operation.SELECT and not points_at_picture(text):
        return ResolvedRequest(replace(request, operation=Operation.GENERATE, source=None, change=""))
    if current is None:
        return Failed(notice("no-image-to-start-from"))
    return Failed(notice("no-such-image", number=start or 0))
