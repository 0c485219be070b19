"""The places for the conversations of `tests/support/same_conversation/script.py`: real adapters, real clients."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.support.same_conversation.discord import on_discord
from tests.support.same_conversation.script import Place
from tests.support.same_conversation.slack import on_slack
from tests.support.same_conversation.web import on_the_page

PLACES: dict[str, Callable[[Path], AbstractAsyncContextManager[Place]]] = {
    "web": on_the_page,
    "discord": on_discord,
    "slack": on_slack,
}
