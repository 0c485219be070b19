"""Channel categories as a scope of settings on Discord."""

from pathlib import Path
from typing import Any

from tests.support.discord_sim import SimulatedBot, hidden, running_bot

SUN = ["<image>a sun</image>"]


async def set_for_category(here: SimulatedBot, channel: Any, do: str = "set", who: Any = None, **arguments: str) -> str:
    """Set a setting for the category of a channel, and return the answer."""
    output = {"scope": "category", "key": "ratio", **arguments}
    return hidden(here, channel, await (who or here.bob).slash(channel, f"settings {do}", **output))


async def shown_ratio(here: SimulatedBot, channel: Any, scope: str = "me") -> str:
    """Return the aspect ratio that applies in a place, and its scope."""
    panel = hidden(here, channel, await here.ann.slash(channel, "settings show", scope=scope))
    return panel.partition("**Aspect ratio**: ")[2].partition("\n**")[0].replace("\\", "").replace("\n-# from:", "")


def in_categories(here: SimulatedBot, *names: str) -> list[Any]:
    """Create categories, each with a channel."""
    found = [here.guild.create_category(name) for name in names]
    return [each for one in found for each in (one, here.guild.create_text_channel(f"in-{one.name}", category=one))]


def selects(components: Any) -> list[Any]:
    """Return the menus among the components of a message."""
    found = [each for each in components if "options" in each]
    return found + [one for each in components for one in selects(each.get("components", ()))]


async def test_a_category_applies_to_its_channels_and_threads(tmp_path: Path) -> None:
    """The channel overrides the category, and the category overrides the server."""
    async with running_bot(tmp_path, SUN, SUN, SUN) as here:
        rooms, room, _, other = in_categories(here, "rooms", "others")
        sister = here.guild.create_text_channel("sister", category=rooms)
        await here.bob.slash(here.channel, "settings set", scope="server", key="aspect_ratio", value="2:3")
        assert (await set_for_category(here, room, value="3:2")).startswith("Aspect ratio for this category: **3:2**")
        thread = await here.draw(channel=sister)
        await here.draw(channel=other)
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", "2:3"]
        assert await shown_ratio(here, thread) == "3:2 category"
        await here.bob.slash(sister, "settings set", scope="channel", key="aspect_ratio", value="1:1")
        assert (await shown_ratio(here, sister), await shown_ratio(here, room)) == ("1:1 channel", "3:2 category")
        assert await shown_ratio(here, sister, "category") == "3:2 category"
        await set_for_category(here, sister, "reset")
        assert (await shown_ratio(here, sister), await shown_ratio(here, room)) == ("1:1 channel", "2:3 server")


async def test_a_moved_channel_uses_its_new_category_at_once(tmp_path: Path) -> None:
    """Also for buttons of old images; without a category the server's settings apply."""
    async with running_bot(tmp_path, SUN, SUN, SUN, SUN) as here:
        rooms, room, others, other = in_categories(here, "rooms", "others")
        await set_for_category(here, room, value="3:2")
        await set_for_category(here, other, value="16:9")
        thread = await here.draw(channel=room)
        here.env.backend.edit_channel(room.id, {"parent_id": others.id})
        await here.say(thread, "another one")
        here.env.backend.edit_channel(room.id, {"parent_id": None})
        await here.say(thread, "another one")
        here.env.backend.edit_channel(room.id, {"parent_id": rooms.id})
        await here.say(thread, "another one")
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", "16:9", "", "3:2"]


async def test_a_move_is_recorded_without_a_message(tmp_path: Path) -> None:
    """Discord sends an event for each move; a move during downtime is noticed later."""
    async with running_bot(tmp_path, SUN) as here:
        rooms, room, others, other = in_categories(here, "rooms", "others")
        await set_for_category(here, room, value="3:2")
        await set_for_category(here, other, value="16:9")
        await here.draw(channel=room)
        (entry,) = here.entries()
        here.env.backend.edit_channel(room.id, {"parent_id": others.id})
        await here.env.settle()
        assert here.inbox.settings(entry.thread, entry.author).aspect_ratio == "16:9"
        here.absent()
        here.env.backend.edit_channel(room.id, {"parent_id": rooms.id})
        await here.restart()
        assert await shown_ratio(here, room) == "3:2 category"


async def test_a_deleted_category_no_longer_applies(tmp_path: Path) -> None:
    """Also if Discord sends no event for each of its channels."""
    async with running_bot(tmp_path, SUN, SUN) as here:
        rooms, room = in_categories(here, "rooms")
        await set_for_category(here, room, value="3:2")
        thread = await here.draw(channel=room)
        here.env.backend.delete_channel(rooms.id)
        await here.env.settle()
        await here.say(thread, "another one")
        assert [job.request.sampling.aspect_ratio for job in here.renderer.jobs] == ["3:2", ""]
        assert await set_for_category(here, room, value="1:1") == "This channel has no category."


async def test_the_panel_offers_the_category_where_there_is_one(tmp_path: Path) -> None:
    """In a channel without a category the panel does not offer it."""
    async with running_bot(tmp_path) as here:
        _, room = in_categories(here, "rooms")
        for channel, offered in ((room, True), (here.channel, False)):
            panel = await here.bob.slash(channel, "settings panel")
            (menu,) = [one for one in selects(panel.response.components) if one["custom_id"].endswith(":scope")]
            assert ("category" in [option["value"] for option in menu["options"]]) == offered
        panel = await here.bob.slash(room, "settings panel")
        shown = await here.bob.select(panel.response, values=["category"], custom_id="mini:settings:scope")
        assert "### Settings · This category" in str(shown.response.components)


async def test_only_managers_change_settings_of_a_category(tmp_path: Path) -> None:
    """Also if everybody may change the settings of a channel: a category has many channels."""
    async with running_bot(tmp_path) as here:
        _, room = in_categories(here, "rooms")
        await here.bob.slash(room, "settings set", scope="server", key="who_can_edit_settings", value="everyone")
        assert await set_for_category(here, room, who=here.ann, value="1:1") == (
            "Only managers can change the settings of this category."
            " You can change your own settings with the scope `me`."
        )
        assert await set_for_category(here, here.channel, value="1:1") == "This channel has no category."
