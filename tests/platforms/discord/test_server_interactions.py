"""The Discord double against the real client: presses, commands and forms, and their responses."""

import asyncio

import discord
import pytest
from discord import app_commands

from tests.support.discord_server import Channel, DiscordDouble, Person, Upload
from tests.support.discord_server.client import Bot, buttons
from tests.support.images import PIXEL


async def test_a_press_is_answered(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """The bot may respond once, follow up, and edit the message of the button."""
    await bot.place(channel).send("Press.", view=buttons())
    shown = double.messages(channel)[0]
    press = await double.press(shown, "again", ana)
    received = await bot.interactions.get()
    answer = await received.response.send_message("Only you see this.", ephemeral=True)
    assert press.original is not None and press.original.ephemeral
    assert answer.message_id == press.original.id
    await received.followup.send("And this.", ephemeral=True)
    assert [one.content for one in press.followups] == ["And this."]
    assert double.messages(channel) == [shown]
    await double.press(shown, "again", ana)
    received = await bot.interactions.get()
    await received.response.edit_message(content="Pressed.", view=None)
    assert (shown.content, shown.components) == ("Pressed.", [])
    with pytest.raises(LookupError):
        await double.press(shown, "again", ana)
    assert double.violations == []


async def test_an_interaction_waits_three_seconds(
    double: DiscordDouble, channel: Channel, ana: Person, bot: Bot
) -> None:
    """A late response is unknown, a second one is refused, and the token expires."""
    await bot.place(channel).send("Press.", view=buttons())
    shown = double.messages(channel)[0]
    press = await double.press(shown, "again", ana)
    press.age(4)
    received = await bot.interactions.get()
    with pytest.raises(discord.NotFound) as caught:
        await received.response.defer()
    assert caught.value.code == 10062 and press.failed
    press = await double.press(shown, "again", ana)
    received = await bot.interactions.get()
    await received.response.defer()
    press.age(16 * 60)
    with pytest.raises(discord.HTTPException) as late:
        await received.edit_original_response(content="Too late.")
    assert late.value.code == 50027


async def test_a_command_is_deferred_and_answered(
    double: DiscordDouble, channel: Channel, ana: Person, bot: Bot
) -> None:
    """A registered command arrives with its options; the response replaces the thinking state."""
    tree = app_commands.CommandTree(bot)

    @tree.command()
    async def draw(interaction: discord.Interaction, prompt: str, like: discord.Attachment | None = None) -> None:
        """Draws."""
        await interaction.response.defer(thinking=True)
        assert double.messages(channel)[-1].content == ""
        size = len(await like.read()) if like else 0
        await interaction.edit_original_response(content=f"{prompt}, like {size} bytes")

    await tree.sync()
    assert [command.name for command in await tree.fetch_commands()] == ["draw"]
    given = await double.command(channel, ana, "draw", {"prompt": "a fox", "like": Upload("fox.png", PIXEL)})
    await double.until(lambda: given.original and not given.thinking)
    assert double.messages(channel)[-1].content == f"a fox, like {len(PIXEL)} bytes"
    with pytest.raises(LookupError):
        await double.command(channel, ana, "paint")
    assert double.violations == []


async def test_a_message_command_has_its_message(
    double: DiscordDouble, channel: Channel, ana: Person, bot: Bot
) -> None:
    """A disabled button cannot be pressed."""
    tree = app_commands.CommandTree(bot)

    @tree.context_menu(name="Draw this")
    async def draw(interaction: discord.Interaction, message: discord.Message) -> None:
        view = discord.ui.View(timeout=None)
        view.add_item(discord.ui.Button(label="Off", custom_id="off", disabled=True))
        await interaction.response.send_message(f"You said {message.content}.", view=view)

    await tree.sync()
    said = await double.say(channel, ana, "a fox")
    given = await double.command_on(said, ana, "Draw this")
    await double.until(lambda: given.answered)
    assert given.original is not None and given.original.content == "You said a fox."
    with pytest.raises(LookupError):
        await double.press(given.original, "off", ana)


async def test_autocomplete_is_answered(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """The bot gets what the user types, also in a subcommand, and its choices are kept."""
    tree = app_commands.CommandTree(bot)
    group = app_commands.Group(name="settings", description="Settings")

    @group.command()
    async def model(interaction: discord.Interaction, name: str) -> None:
        """Chooses."""

    @model.autocomplete("name")
    async def suggest(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=current + "-large", value="large")]

    tree.add_command(group)
    await tree.sync()
    given = await double.complete(channel, ana, "settings model", {"name": "sd"})
    await double.until(lambda: given.choices)
    assert given.choices == [{"name": "sd-large", "value": "large"}]
    assert double.violations == []


async def test_a_form_is_submitted(double: DiscordDouble, channel: Channel, ana: Person, bot: Bot) -> None:
    """A press opens a form, and the inputs arrive, files and menus too."""
    done: asyncio.Future[tuple[str, list[str], int]] = asyncio.get_running_loop().create_future()

    class Form(discord.ui.Modal, title="Image"):
        prompt = discord.ui.Label[discord.ui.Modal](
            text="Prompt", component=discord.ui.TextInput(custom_id="prompt", default="a fox")
        )
        size = discord.ui.Label[discord.ui.Modal](
            text="Size",
            component=discord.ui.Select(
                custom_id="size", options=[discord.SelectOption(label="Wide"), discord.SelectOption(label="Tall")]
            ),
        )
        like = discord.ui.Label[discord.ui.Modal](text="Like", component=discord.ui.FileUpload(custom_id="like"))

        async def on_submit(self, interaction: discord.Interaction) -> None:
            text, menu, files = self.prompt.component, self.size.component, self.like.component
            assert isinstance(text, discord.ui.TextInput) and isinstance(menu, discord.ui.Select)
            assert isinstance(files, discord.ui.FileUpload)
            await interaction.response.send_message("Noted.", ephemeral=True)
            done.set_result((text.value, menu.values, files.values[0].size))

    await bot.place(channel).send("Press.", view=buttons())
    press = await double.press(double.messages(channel)[0], "again", ana)
    await (await bot.interactions.get()).response.send_modal(Form())
    assert press.modal is not None and press.modal["title"] == "Image"
    form = await double.submit_modal(press, {"size": ["Tall"], "like": [Upload("fox.png", PIXEL)]})
    assert await done == ("a fox", ["Tall"], len(PIXEL))
    assert form.original is not None and form.original.content == "Noted."
    assert double.violations == []
