"""User groups of Slack as roles: their members, changes, and errors of Slack."""

from pathlib import Path
from typing import Any

import pytest

from adapters.slack.users import memberships_by_user
from bot.domain import MANAGER
from tests.support.slack_server import Error, Lose
from tests.support.slack_server.faults import Fault
from tests.support.slack_workspace import SUN, SlackBot, knows_scopes, running_bot

NOT_LET = "A manager has blocked you or this channel for me."
OTHERS_LET = "I am not enabled for you or in this channel. Ask a manager."


async def change_as_manager(here: SlackBot, text: str) -> str:
    """Give a command as Bo, who is a manager, and return the answer."""
    before = len(here.hints(here.bo))
    await here.command(text, here.bo)
    return await here.hint(here.bo, before + 1)


async def refused(here: SlackBot, count: int = 1) -> str:
    """Ask for an image as Cid, and return the refusal."""
    await here.ask("draw a sun", here.cid)
    return await here.hint(here.cid, count)


@pytest.mark.parametrize("by", ["mention", "id", "handle"])
async def test_a_group_is_blocked(tmp_path: Path, by: str) -> None:
    """By its mention, its id or its handle; managers and users outside it are answered."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        group = here.slack.group("interns", here.cid, here.bo)
        name = {"mention": group.mention, "id": group.id, "handle": "@interns"}[by]
        assert (await change_as_manager(here, f"settings set blocked {name} server")).startswith(
            "Blocked for this server"
        )
        assert await refused(here) == NOT_LET
        await here.draw()
        await here.draw(who=here.bo)


async def test_a_group_can_be_set_by_mention_in_a_thread(tmp_path: Path) -> None:
    """As Slack completes it; the answer mentions nobody."""
    async with running_bot(tmp_path, SUN) as here:
        group = here.slack.group("interns", here.cid)
        asked = await here.draw()
        await here.ask(f"settings set allowed {group.mention} server", here.bo, thread_ts=asked.ts)
        assert (await here.hint(here.bo)).startswith("Allowed for this server")
        assert here.store.settings.values(here.entries()[0].thread, "")
        await here.ask("draw a sun", here.ana)
        assert await here.hint(here.ana) == OTHERS_LET


async def test_a_change_of_a_group_applies_at_once(tmp_path: Path) -> None:
    """Former members are answered, new members are not; a disabled group has no members."""
    async with running_bot(tmp_path, SUN, SUN, SUN) as here:
        group = here.slack.group("interns", here.cid)
        await change_as_manager(here, "settings set blocked @interns server")
        assert await refused(here) == NOT_LET
        asked = len(here.slack.called("usergroups.list"))
        assert await refused(here, 2) == NOT_LET
        assert len(here.slack.called("usergroups.list")) == asked  # what is known is not asked for again
        here.slack.regroup(group, here.ana)
        await here.draw(who=here.cid)
        await here.ask("draw a sun")
        assert await here.hint() == NOT_LET
        here.slack.disband(group)
        await here.draw()


async def test_a_group_can_be_manager(tmp_path: Path) -> None:
    """It stops the replies of others and changes settings of the workspace, until it is removed."""
    async with running_bot(tmp_path, SUN) as here:
        here.slack.group("leads", here.cid)
        await here.command("settings set ratio 3:2 server", here.cid)
        assert (await here.hint(here.cid)).startswith("Only managers")
        await change_as_manager(here, "settings set managers @leads server")
        await here.command("settings set ratio 3:2 server", here.cid)
        assert await here.hint(here.cid, 2) == "Aspect ratio for this server: **3:2**."
        await change_as_manager(here, "settings reset managers server")
        await here.command("settings set ratio 1:1 server", here.cid)
        assert (await here.hint(here.cid, 3)).startswith("Only managers")


@knows_scopes
async def test_without_the_scope_groups_have_no_members(tmp_path: Path) -> None:
    """Everything else works, and Slack is not called each time."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        here.slack.web.scopes = {
            "chat:write", "users:read", "files:write", "files:read", "channels:history", "app_mentions:read",
        }  # fmt: skip
        here.slack.group("interns", here.cid)
        await change_as_manager(here, "settings set blocked @interns server")
        await here.draw(who=here.cid)
        await here.draw(who=here.cid)
        assert len(here.slack.called("usergroups.list")) == 1


@pytest.mark.parametrize("fault", [Error("internal_error"), Lose()])
async def test_memberships_stay_while_slack_fails(tmp_path: Path, fault: Fault) -> None:
    """A blocked user stays blocked."""
    async with running_bot(tmp_path) as here:
        group = here.slack.group("interns", here.cid)
        await change_as_manager(here, "settings set blocked @interns server")
        assert await refused(here) == NOT_LET
        here.slack.fail("usergroups.list", fault)
        here.slack.regroup(group, here.cid, here.ana)
        assert await refused(here, 2) == NOT_LET


def test_a_group_counts_by_its_id_and_its_handle() -> None:
    """Disabled groups do not count, nor groups without members."""
    groups: list[dict[str, Any]] = [
        {"id": "S1", "handle": "leads", "users": ["U1", "U2"], "date_delete": 0},
        {"id": "S2", "handle": "", "users": ["U1"]},
        {"id": "S3", "handle": "old", "users": ["U1"], "date_delete": 7},
        {"id": "S4", "handle": "empty"},
    ]
    assert memberships_by_user(groups) == {"U1": {"S1", "@leads", "S2"}, "U2": {"S1", "@leads"}}


def test_a_handle_alone_makes_no_manager() -> None:
    """A group that is called like the role is not the role."""
    assert MANAGER not in memberships_by_user([{"id": "S1", "handle": MANAGER, "users": ["U1"]}])["U1"]
