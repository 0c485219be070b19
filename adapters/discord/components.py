"""Handlers of buttons, settings menus and forms. Their custom_ids carry all state, so that they survive a restart."""

from dataclasses import replace
from typing import Any

import discord

from adapters.discord import parse, payloads, settings_panel
from adapters.discord.context import Context
from adapters.discord.interactions import (
    Interaction,
    answer_command,
    ensure_thread,
    find_thread,
    hand_over,
    person,
    reply_ephemerally,
    reply_place,
    run_command,
    user_language,
)
from adapters.discord.parse import USER_INSTALL
from bot.domain import NEW_REPLY_ACTIONS, Action, ButtonPress, Message
from bot.notices import Notice, notice, text
from bot.region import find_region
from bot.settings.values import ReplyIn, SettingsPanel

OUTDATED = notice("button-outdated")


async def handle_press(context: Context, interaction: Interaction) -> None:
    """Handle the press of a button or a choice in a menu, by its custom_id."""
    control = parse.read_custom_id(str(_data(interaction).get("custom_id", "")))
    if control is None:
        await _reply_notice(context, interaction, OUTDATED)
        return
    name, target = control
    if name == settings_panel.SETTINGS:
        await handle_selection(context, interaction, target)
    elif name == payloads.DETAILS:
        await answer_command(context, interaction, "details", {"picture": target}, of_message=True)
    elif name == Action.EDIT:
        await _open_edit_form(context, interaction, target)
    elif action := parse.action(name):
        await hand_over_press(context, interaction, action, target)
    else:
        await _reply_notice(context, interaction, OUTDATED)


async def handle_form(context: Context, interaction: Interaction) -> None:
    """Handle a submitted form, by its custom_id."""
    data = _data(interaction)
    form = parse.read_custom_id(str(data.get("custom_id", "")))
    values = parse.modal_values(data)
    match form:
        case (Action.EDIT, target):
            await hand_over_press(
                context, interaction, Action.EDIT, target, values.get("words", ""), find_region(values.get("where", ""))
            )
        case (settings_panel.SETTINGS, target):
            await handle_value_form(context, interaction, target, values.get("value", ""))
        case (settings_panel.ABOUT_MESSAGE, target):
            await ask_about(context, interaction, target, values.get("words", ""))
        case _:
            await _reply_notice(context, interaction, OUTDATED)


async def hand_over_press(
    context: Context,
    interaction: Interaction,
    action: Action,
    target: str,
    instruction: str = "",
    region: str = "",
    *,
    below: discord.Message | None = None,
) -> None:
    """Hand a button press to the inbox; vary, edit, upscale and redo get a reply of their own.

    `below` is the message that a message menu command is about; the interaction itself has none.
    """
    thread, author = find_thread(context, interaction, below), person(interaction)
    press = ButtonPress(str(interaction.id), thread, author, action, target, instruction, region)
    has_new_reply = action in NEW_REPLY_ACTIONS
    is_ephemeral = below is not None and thread.space != USER_INSTALL
    thinking = is_ephemeral or (has_new_reply and thread.space == USER_INSTALL)
    await interaction.response.defer(thinking=thinking, ephemeral=is_ephemeral)
    place = reply_place(interaction, thread, below.id if below else None, instruction) if has_new_reply else None
    if await hand_over(context, interaction, press, place) and is_ephemeral:
        await interaction.delete_original_response()


async def ask_about(context: Context, interaction: Interaction, target: str, text: str) -> None:
    """Hand the inbox a text about a message that the user chose in a menu. `target` is "channel id.message id"."""
    channel_id, _, message_id = target.partition(".")
    thread = find_thread(context, interaction)
    await interaction.response.defer(thinking=True, ephemeral=thread.space != USER_INSTALL)
    message = context.chosen_messages.get(target)
    if message is None and (channel := context.client.get_channel(int(channel_id))) is not None:
        try:
            message = await channel.fetch_message(int(message_id))  # type: ignore[union-attr]
        except discord.HTTPException:
            message = None
    if message is None:
        await _reply_notice(context, interaction, notice("discord-message-gone"))
        return
    post, author = context.find_post(channel_id, message_id), person(interaction)
    opens_thread = not post and not thread.thread and context.inbox.settings(thread, author).reply_in is ReplyIn.THREAD
    new_thread = ensure_thread(thread, message.id if opens_thread else interaction.id)
    thread = post[0] if post and thread.space != USER_INSTALL else new_thread
    found = await context.picture_finder.find_own(message, thread)
    if found.about is None and not found.files:
        await _reply_notice(context, interaction, notice("no-image-in-message"))
        return
    event = Message(str(interaction.id), thread, author, text, tuple(found.files), found.about)
    place = reply_place(interaction, thread, message.id, text)
    if opens_thread:
        place = replace(place, answers=None, thread_on=message.id)
    if await hand_over(context, interaction, event, place) and thread.space != USER_INSTALL:
        await interaction.delete_original_response()


def _data(interaction: Interaction) -> dict[str, Any]:
    return dict(interaction.data or {})


async def _open_edit_form(context: Context, interaction: Interaction, target: str) -> None:
    """Open the edit form of an image, if the image still exists."""
    picture = context.archive.picture(find_thread(context, interaction), int(target)) if target.isdecimal() else None
    if picture is None:
        await _reply_notice(context, interaction, notice("no-such-image", number=target[:9]))
    else:
        await interaction.response.send_modal(
            settings_panel.edit_form(target, picture.request.prompt, user_language(context, interaction))
        )


async def handle_selection(context: Context, interaction: Interaction, target: str) -> None:
    """Handle a choice in the settings panel, and show the panel again."""
    what, _, rest = target.partition(".")
    scope, _, key = rest.partition(".")
    values = _data(interaction).get("values") or [""]
    value = str(values[0])
    match what:
        case "scope":
            await _update_panel(context, interaction, {"scope": value})
        case "key":
            await _update_panel(context, interaction, {"scope": scope}, value)
        case "value":
            await _update_panel(context, interaction, {"do": "set", "scope": scope, "key": key, "value": value}, key)
        case "reset":
            await _update_panel(context, interaction, {"do": "reset", "scope": scope, "key": key}, key)
        case "write":
            panel = await _load_panel(context, interaction, {"scope": scope})
            field = (
                next((each for each in panel.fields if each.key == key), None)
                if isinstance(panel, SettingsPanel)
                else None
            )
            if field:
                await interaction.response.send_modal(settings_panel.value_form(f"value.{scope}.{key}", field))


async def handle_value_form(context: Context, interaction: Interaction, target: str, value: str) -> None:
    """Set the value that the user wrote into the settings form."""
    _, scope, key = [*target.split("."), "", ""][:3]
    await _update_panel(context, interaction, {"do": "set", "scope": scope, "key": key, "value": value}, key)


async def _update_panel(context: Context, interaction: Interaction, arguments: dict[str, str], key: str = "") -> None:
    panel = await _load_panel(context, interaction, arguments)
    if isinstance(panel, str):
        await reply_ephemerally(interaction, panel)
    else:
        await interaction.response.edit_message(view=settings_panel.panel_view("", panel, key))


async def _load_panel(context: Context, interaction: Interaction, arguments: dict[str, str]) -> SettingsPanel | str:
    """Run /settings and return the panel, or a text if the command was refused or returned none."""
    response = await run_command(context, interaction, "settings", arguments)
    return response if isinstance(response, str) else response.panel or text(response.text)


async def _reply_notice(context: Context, interaction: Interaction, message: Notice) -> None:
    await reply_ephemerally(interaction, text(message, user_language(context, interaction)))
