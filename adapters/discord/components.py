"""Handlers of buttons, settings menus and forms. Their custom_ids carry all state, so that they survive a restart."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import discord

from adapters.discord import parse
from adapters.discord import payloads as draw
from adapters.discord import settings_panel as panels
from adapters.discord.interactions import (
    Interaction,
    answer,
    begun,
    command,
    conversation,
    hand_over,
    person,
    place_of,
    whisper,
)
from adapters.discord.parse import PERSONAL, post_id
from bot.domain import Action, ButtonPress, Message
from bot.region import area
from bot.settings.values import Panel, Where

if TYPE_CHECKING:
    from adapters.discord.client import Client

OUTDATED = "This control is not known any more. The newest message of the answer has working ones."
_NEW_REPLY = (Action.VARY, Action.EDIT, Action.UPSCALE, Action.REDO)


async def pressed(client: "Client", interaction: Interaction) -> None:
    """Handle the press of a button or a choice in a menu, by its custom_id."""
    told = parse.pressed(str(_data(interaction).get("custom_id", "")))
    if told is None:
        await whisper(interaction, OUTDATED)
        return
    name, target = told
    if name == panels.SETTINGS:
        await chosen(client, interaction, target)
    elif name == draw.DETAILS:
        await answer(client, interaction, "details", {"picture": target}, of_message=True)
    elif name == Action.EDIT:
        await _ask_change(client, interaction, target)
    elif action := parse.action(name):
        await act(client, interaction, action, target)
    else:
        await whisper(interaction, OUTDATED)


async def submitted(client: "Client", interaction: Interaction) -> None:
    """Handle a submitted form, by its custom_id."""
    data = _data(interaction)
    told = parse.pressed(str(data.get("custom_id", "")))
    values = parse.fields(data)
    match told:
        case (Action.EDIT, target):
            await act(client, interaction, Action.EDIT, target, values.get("words", ""), area(values.get("where", "")))
        case (panels.SETTINGS, target):
            await written(client, interaction, target, values.get("value", ""))
        case (panels.ABOUT, target):
            await speak_of(client, interaction, target, values.get("words", ""))
        case _:
            await whisper(interaction, OUTDATED)


async def act(
    client: "Client",
    interaction: Interaction,
    action: Action,
    target: str,
    words: str = "",
    part: str = "",
    *,
    below: discord.Message | None = None,
) -> None:
    """Hand a button press to the inbox; vary, edit, upscale and redo get a reply of their own.

    `below` is the message that a message menu command is about; the interaction itself has none.
    """
    thread, author = conversation(client, interaction, below), person(interaction)
    press = ButtonPress(str(interaction.id), thread, author, action, target, words, part)
    new = action in _NEW_REPLY
    whispered = below is not None and thread.space != PERSONAL
    thinking = whispered or (new and thread.space == PERSONAL)
    await interaction.response.defer(thinking=thinking, ephemeral=whispered)
    place = place_of(interaction, thread, below.id if below else None, words) if new else None
    if await hand_over(client, interaction, press, place) and whispered:
        await interaction.delete_original_response()


async def speak_of(client: "Client", interaction: Interaction, target: str, words: str) -> None:
    """Hand the inbox a text about a message that the user chose in a menu. `target` is "channel id.message id"."""
    channel_id, _, message_id = target.partition(".")
    thread = conversation(client, interaction)
    await interaction.response.defer(thinking=True, ephemeral=thread.space != PERSONAL)
    message = client.chosen_messages.get(target)
    if message is None and (channel := client.get_channel(int(channel_id))) is not None:
        try:
            message = await channel.fetch_message(int(message_id))  # type: ignore[union-attr]
        except discord.HTTPException:
            message = None
    if message is None:
        await whisper(interaction, "That message cannot be read any more. Please choose it again.")
        return
    shown, author = client.record.shows(post_id(channel_id, message_id)), person(interaction)
    opens = not shown and not thread.thread and client.inbox.settings(thread, author).answer is Where.THREAD
    begins = begun(thread, message.id if opens else interaction.id)
    thread = shown[0] if shown and thread.space != PERSONAL else begins
    found = await client.reader.of(message, thread)
    if found.about is None and not found.files:
        await whisper(interaction, "There is no picture in that message.")
        return
    event = Message(str(interaction.id), thread, author, words, tuple(found.files), found.about)
    place = place_of(interaction, thread, message.id, words)
    if opens:
        place = replace(place, answers=None, thread_on=message.id)
    if await hand_over(client, interaction, event, place) and thread.space != PERSONAL:
        await interaction.delete_original_response()


def _data(interaction: Interaction) -> dict[str, Any]:
    return dict(interaction.data or {})


async def _ask_change(client: "Client", interaction: Interaction, target: str) -> None:
    """Open the edit form of an image, if the image still exists."""
    picture = client.archive.picture(conversation(client, interaction), int(target)) if target.isdecimal() else None
    if picture is None:
        await whisper(interaction, f"There is no picture #{target[:9]} in this thread.")
    else:
        await interaction.response.send_modal(panels.edit_form(target, picture.prompt))


async def chosen(client: "Client", interaction: Interaction, target: str) -> None:
    """Handle a choice in the settings panel, and show the panel again."""
    what, _, rest = target.partition(".")
    scope, _, key = rest.partition(".")
    values = _data(interaction).get("values") or [""]
    value = str(values[0])
    match what:
        case "scope":
            await _show(client, interaction, {"scope": value})
        case "key":
            await _show(client, interaction, {"scope": scope}, value)
        case "value":
            await _show(client, interaction, {"do": "set", "scope": scope, "key": key, "value": value}, key)
        case "reset":
            await _show(client, interaction, {"do": "reset", "scope": scope, "key": key}, key)
        case "write":
            panel = await _panel(client, interaction, {"scope": scope})
            field = next((each for each in panel.fields if each.key == key), None) if isinstance(panel, Panel) else None
            if field:
                await interaction.response.send_modal(panels.value_form(f"value.{scope}.{key}", field))


async def written(client: "Client", interaction: Interaction, target: str, value: str) -> None:
    """Set the value that the user wrote into the settings form."""
    _, scope, key = [*target.split("."), "", ""][:3]
    await _show(client, interaction, {"do": "set", "scope": scope, "key": key, "value": value}, key)


async def _show(client: "Client", interaction: Interaction, arguments: dict[str, str], key: str = "") -> None:
    panel = await _panel(client, interaction, arguments)
    if isinstance(panel, str):
        await whisper(interaction, panel)
    else:
        await interaction.response.edit_message(view=panels.drawn("", panel, key))


async def _panel(client: "Client", interaction: Interaction, arguments: dict[str, str]) -> Panel | str:
    """Run /settings and return the panel, or a text if the command was refused or returned none."""
    told = await command(client, interaction, "settings", arguments)
    return told if isinstance(told, str) else told.panel or told.text
