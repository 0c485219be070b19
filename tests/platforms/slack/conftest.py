"""Fixtures of the tests of the Slack double: the double, a channel, a user, and a connected app."""

from collections.abc import AsyncIterator

import pytest

from tests.support.slack_server import Channel, Person, SlackDouble
from tests.support.slack_server.client import App, direct, running


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    """A Slack double to which Bolt connects. All planned faults must have happened at the end."""
    with direct():
        async with SlackDouble() as slack:
            yield slack
    assert slack.web.faults.planned == []


@pytest.fixture
def general(slack: SlackDouble) -> Channel:
    """A channel."""
    return slack.channel("general")


@pytest.fixture
def ana(slack: SlackDouble) -> Person:
    """A user."""
    return slack.person("Ana")


@pytest.fixture
async def app(slack: SlackDouble) -> AsyncIterator[App]:
    """A connected app."""
    async with running(slack, App(slack)) as app:
        yield app
