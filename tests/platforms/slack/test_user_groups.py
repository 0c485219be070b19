"""User groups of Slack as roles: who is in one, as Slack tells, changes and withholds."""

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


async def told(here: SlackBot, text: str) -> str:
    """What Bo, who manages, is told of a command."""
    before = len(here.hints(here.bo))
    await here.command(text, here.bo)
    return await here.hint(here.bo, before + 1)


async def refused(here: SlackBot, count: int = 1) -> str:
    """What Cid is told who asks for a picture in vain."""
    await here.ask("draw a sun", here.cid)
    return await here.hint(here.cid, count)


@pytest.mark.parametrize("by", ["mention", "id", "handle"])
async def test_a_group_is_blocked(tmp_path: Path, by: str) -> None:
    """By its mention, its id or its handle; those who are not in it are answered, and managers."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        group = here.slack.group("interns", here.cid, here.bo)
        name = {"mention": group.mention, "id": group.id, "handle": "@interns"}[by]
        assert (await told(here, f"settings set blocked {name} server")).startswith("Blocked for this server")
        assert await refused(here) == NOT_LET
        await here.draw()
        await here.draw(who=here.bo)


async def test_a_mention_of_a_group_is_a_setting_in_a_thread_too(tmp_path: Path) -> None:
    """As Slack completes it; the answer calls nobody."""
    async with running_bot(tmp_path, SUN) as here:
        group = here.slack.group("interns", here.cid)
        asked = await here.draw()
        await here.ask(f"settings set allowed {group.mention} server", here.bo, thread_ts=asked.ts)
        assert (await here.hint(here.bo)).startswith("Allowed for this server")
        assert here.store.settings.values(here.entries()[0].thread, "")
        await here.ask("draw a sun", here.ana)
        assert await here.hint(here.ana) == OTHERS_LET


async def test_slack_tells_of_a_change_and_it_holds_at_once(tmp_path: Path) -> None:
    """Who leaves the group is answered, who joins it is not, and one that is switched off names nobody."""
    async with running_bot(tmp_path, SUN, SUN, SUN) as here:
        group = here.slack.group("interns", here.cid)
        await told(here, "settings set blocked @interns server")
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


async def test_a_group_may_manage(tmp_path: Path) -> None:
    """It stops others' work and chooses for the workspace, until it is not named any more."""
    async with running_bot(tmp_path, SUN) as here:
        here.slack.group("leads", here.cid)
        await here.command("settings set ratio 3:2 server", here.cid)
        assert (await here.hint(here.cid)).startswith("Only managers")
        await told(here, "settings set managers @leads server")
        await here.command("settings set ratio 3:2 server", here.cid)
        assert await here.hint(here.cid, 2) == "Shape for this server: **3:2**."
        await told(here, "settings reset managers server")
        await here.command("settings set ratio 1:1 server", here.cid)
        assert (await here.hint(here.cid, 3)).startswith("Only managers")


@knows_scopes
async def test_without_the_scope_groups_name_nobody(tmp_path: Path) -> None:
    """All else works, and Slack is not asked each time."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        here.slack.web.scopes = {
            "chat:write", "users:read", "files:write", "files:read", "channels:history", "app_mentions:read",
        }  # fmt: skip
        here.slack.group("interns", here.cid)
        await told(here, "settings set blocked @interns server")
        await here.draw(who=here.cid)
        await here.draw(who=here.cid)
        assert len(here.slack.called("usergroups.list")) == 1


@pytest.mark.parametrize("fault", [Error("internal_error"), Lose()])
async def test_what_slack_does_not_tell_stays_as_it_was(tmp_path: Path, fault: Fault) -> None:
    """Whoever was blocked is blocked while Slack is ill."""
    async with running_bot(tmp_path) as here:
        group = here.slack.group("interns", here.cid)
        await told(here, "settings set blocked @interns server")
        assert await refused(here) == NOT_LET
        here.slack.fail("usergroups.list", fault)
        here.slack.regroup(group, here.cid, here.ana)
        assert await refused(here, 2) == NOT_LET


def test_a_group_counts_by_its_id_and_its_handle() -> None:
    """Those that are switched off do not, nor what is not told."""
    groups: list[dict[str, Any]] = [
        {"id": "S1", "handle": "leads", "users": ["U1", "U2"], "date_delete": 0},
        {"id": "S2", "handle": "", "users": ["U1"]},
        {"id": "S3", "handle": "old", "users": ["U1"], "date_delete": 7},
        {"id": "S4", "handle": "empty"},
    ]
    assert memberships_by_user(groups) == {"U1": {"S1", "@leads", "S2"}, "U2": {"S1", "@leads"}}


def test_no_handle_makes_a_manager_by_itself() -> None:
    """A group that is called like the role is another thing."""
    assert MANAGER not in memberships_by_user([{"id": "S1", "handle": MANAGER, "users": ["U1"]}])["U1"]
