"""A model of one colour that can be told to be silent for a while, as a real one is in a long step."""

import re
from threading import Event

from render.image_model import Cancelled, EventCallback, Options
from render.protocol import Batch
from tests.support.fake_models.flat_worker import FlatModel


class QuietModel(FlatModel):
    """Paints like the flat one; a prompt such as `silent for 5` delays the batch by so many seconds."""

    def __init__(
        self,
        model: str = "flat",
        device: str = "auto",
        largest_batch: int | None = None,
        options: Options | None = None,
    ) -> None:
        """All are ignored: this is what a deployment passes to any studio."""

    def render(self, batch: Batch, on_event: EventCallback, cancelled: Event) -> None:
        """Render the batch."""
        requested = re.fullmatch(r"silent for (\d+)", batch.tasks[0].prompt)
        if requested and cancelled.wait(float(requested[1])):
            raise Cancelled
        super().render(batch, on_event, cancelled)
