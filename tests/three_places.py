"""The places for the conversations of `tests/three.py`: real adapters, real clients."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.place_of_the_page import on_the_page
from tests.place_on_discord import on_discord
from tests.place_on_slack import on_slack
from tests.three import Place

PLACES: dict[str, Callable[[Path], AbstractAsyncContextManager[Place]]] = {
    "web": on_the_page,
    "discord": on_discord,
    "slack": on_slack,
}
