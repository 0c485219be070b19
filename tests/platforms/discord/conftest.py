"""Fixtures of the tests of the Discord double: the double, a channel, a user, and a client that is ready."""

from collections.abc import AsyncIterator

import pytest

from tests.support.discord_server import Channel, DiscordDouble, Person
from tests.support.discord_server.aim import aimed
from tests.support.discord_server.client import Bot, running


@pytest.fixture
async def double() -> AsyncIterator[DiscordDouble]:
    """A Discord double to which discord.py connects. All planned faults must have happened at the end."""
    async with DiscordDouble() as double:
        with aimed(double):
            yield double
    assert double.rest.faults.planned == []


@pytest.fixture
def channel(double: DiscordDouble) -> Channel:
    """A channel of a server."""
    return double.channel(double.guild())


@pytest.fixture
def ana(double: DiscordDouble) -> Person:
    """A user."""
    return double.person("Ana")


@pytest.fixture
async def bot(double: DiscordDouble, channel: Channel) -> AsyncIterator[Bot]:
    """A client that is connected and ready."""
    async with running(Bot()) as bot:
        yield bot
