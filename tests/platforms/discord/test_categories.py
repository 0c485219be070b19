"""A category of channels as a scope of settings, in a simulated Discord."""

from pathlib import Path
from typing import Any

from tests.support.discord_sim import SimulatedBot, hidden, running_bot

SUN = ["<image>a sun</image>"]


async def told(here: SimulatedBot, channel: Any, do: str = "set", who: Any = None, **arguments: str) -> str:
    """What is said of a choice for the category in which a channel lies."""
    told = {"scope": "category", "key": "ratio", **arguments}
    return hidden(here, channel, await (who or here.bob).slash(channel, f"settings {do}", **told))


async def shown(here: SimulatedBot, channel: Any, scope: str = "me") -> str:
    """What ratio holds there, and where it comes from."""
    panel = hidden(here, channel, await here.ann.slash(channel, "settings show", scope=scope))
    return panel.partition("**Shape**: ")[2].partition("\n**")[0].replace("\\", "").replace("\n-# from:", "")


def in_categories(here: SimulatedBot, *names: str) -> list[Any]:
    """Each a category and a channel in it."""
    found = [here.guild.create_category(name) for name in names]
    return [each for one in found for each in (one, here.guild.create_text_channel(f"in-{one.name}", category=one))]


def selects(components: Any) -> list[Any]:
    """The menus among the components of a message."""
    found = [each for each in components if "options" in each]
    return found + [one for each in components for one in selects(each.get("components", ()))]


async def test_a_category_holds_for_its_channels_and_their_threads(tmp_path: Path) -> None:
    """Not for others; a channel's own choice wins over it, and it wins over the server's."""
    async with running_bot(tmp_path, SUN, SUN, SUN) as here:
        rooms, room, _, other = in_categories(here, "rooms", "others")
        sister = here.guild.create_text_channel("sister", category=rooms)
        await here.bob.slash(here.channel, "settings set", scope="server", key="ratio", value="2:3")
        assert (await told(here, room, value="3:2")).startswith("Shape for this category: **3:2**")
        thread = await here.draw(channel=sister)
        await here.draw(channel=other)
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", "2:3"]
        assert await shown(here, thread) == "3:2 category"
        await here.bob.slash(sister, "settings set", scope="channel", key="ratio", value="1:1")
        assert (await shown(here, sister), await shown(here, room)) == ("1:1 channel", "3:2 category")
        assert await shown(here, sister, "category") == "3:2 category"
        await told(here, sister, "reset")
        assert (await shown(here, sister), await shown(here, room)) == ("1:1 channel", "2:3 server")


async def test_a_channel_that_moves_goes_by_its_new_category_at_once(tmp_path: Path) -> None:
    """Also for what is pressed on old pictures; without a category the server's holds."""
    async with running_bot(tmp_path, SUN, SUN, SUN, SUN) as here:
        rooms, room, others, other = in_categories(here, "rooms", "others")
        await told(here, room, value="3:2")
        await told(here, other, value="16:9")
        thread = await here.draw(channel=room)
        here.env.backend.edit_channel(room.id, {"parent_id": others.id})
        await here.say(thread, "another one")
        here.env.backend.edit_channel(room.id, {"parent_id": None})
        await here.say(thread, "another one")
        here.env.backend.edit_channel(room.id, {"parent_id": rooms.id})
        await here.say(thread, "another one")
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", "16:9", "", "3:2"]


async def test_what_is_known_of_a_move_is_known_without_a_message(tmp_path: Path) -> None:
    """Discord tells of it as it happens, also after a restart that did not see it."""
    async with running_bot(tmp_path, SUN) as here:
        rooms, room, others, other = in_categories(here, "rooms", "others")
        await told(here, room, value="3:2")
        await told(here, other, value="16:9")
        await here.draw(channel=room)
        (entry,) = here.entries()
        here.env.backend.edit_channel(room.id, {"parent_id": others.id})
        await here.env.settle()
        assert here.inbox.settings(entry.thread, entry.author).ratio == "16:9"
        here.absent()
        here.env.backend.edit_channel(room.id, {"parent_id": rooms.id})
        await here.restart()
        assert await shown(here, room) == "3:2 category"


async def test_a_category_that_is_deleted_holds_no_more(tmp_path: Path) -> None:
    """Whether or not Discord has told of each of its channels."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        rooms, room = in_categories(here, "rooms")
        await told(here, room, value="3:2")
        thread = await here.draw(channel=room)
        here.env.backend.delete_channel(rooms.id)
        await here.env.settle()
        await here.say(thread, "another one")
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", ""]
        assert await told(here, room, value="1:1") == "This channel has no category."


async def test_the_panel_offers_the_category_where_there_is_one(tmp_path: Path) -> None:
    """Somewhere else it is no choice."""
    async with running_bot(tmp_path) as here:
        _, room = in_categories(here, "rooms")
        for channel, offered in ((room, True), (here.channel, False)):
            panel = await here.bob.slash(channel, "settings panel")
            (menu,) = [one for one in selects(panel.response.components) if one["custom_id"].endswith(":scope")]
            assert ("category" in [option["value"] for option in menu["options"]]) == offered
        panel = await here.bob.slash(room, "settings panel")
        shown = await here.bob.select(panel.response, values=["category"], custom_id="mini:settings:scope")
        assert "### Settings · This category" in str(shown.response.components)


async def test_only_managers_choose_for_a_category(tmp_path: Path) -> None:
    """Also where everybody may change a channel's settings: it holds for many of them."""
    async with running_bot(tmp_path) as here:
        _, room = in_categories(here, "rooms")
        await here.bob.slash(room, "settings set", scope="server", key="changers", value="everyone")
        assert await told(here, room, who=here.ann, value="1:1") == (
            "Only managers can change the settings of the category. Your own you can set for `me`."
        )
        assert await told(here, here.channel, value="1:1") == "This channel has no category."
