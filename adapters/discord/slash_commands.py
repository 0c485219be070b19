"""Defines the slash commands and the message menu commands of Discord."""

import logging
from contextlib import suppress
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice

from adapters.discord import components, interactions, settings_panel
from adapters.discord.api_errors import TOO_LATE
from adapters.discord.context import Context
from adapters.discord.interactions import Interaction
from adapters.discord.parse import USER_INSTALL
from adapters.discord.reply_place import ReplyPlace
from bot.domain import HIGHEST_SEED, Action, ImageRequest, ImagineCommand, Operation, Sampling
from bot.errors import INTERNAL_ERROR
from bot.notices import language_of, notice, text
from bot.settings.values import ReplyIn, Scope, SettingsPanel

log = logging.getLogger(__name__)

LONGEST_PROMPT = 1500  # characters
LONGEST_NEGATIVE_PROMPT = 500  # characters
MAX_CHOICES = 25  # Discord docs, application-commands
EVERYWHERE = app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True)
INSTALLS = app_commands.AppInstallationType(guild=True, user=True)
PLAIN_COMMANDS = {  # commands without arguments, and their descriptions
    "queue": "The render queue, and the position of your images",
    "images": "The images of this thread, and their version history",
    "export": "Download this thread with its images as a ZIP file",
    "usage": "How many images were created",
    "help": "What I can do, and how to ask for it",
}
MESSAGE_FORMS = {  # menu commands that open a form, and the question and the example of the form
    "Edit image": ("What should change?", "make the sky red"),
    "Ask about image": ("What would you like to know?", "which style is this?"),
}


def build_command_tree(context: Context) -> app_commands.CommandTree[Any]:
    """Build the tree of all commands. They work in servers, in direct messages and as a user install."""
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(
        context.client, allowed_contexts=EVERYWHERE, allowed_installs=INSTALLS
    )
    tree.add_command(_imagine_command(context))
    tree.add_command(_settings_group(context))
    for name, description in PLAIN_COMMANDS.items():
        tree.add_command(_plain_command(context, name, description))
    tree.add_command(_cancel_command(context))
    tree.add_command(_forget_command(context))
    for title, form in MESSAGE_FORMS.items():
        tree.add_command(_form_menu(context, title, form))
    tree.add_command(_vary_menu(context))
    tree.error(_on_error)
    return tree


async def _on_error(interaction: Interaction, error: app_commands.AppCommandError) -> None:
    cause = getattr(error, "original", error)
    if isinstance(cause, discord.HTTPException) and cause.code in TOO_LATE:
        log.info("a command was answered too late: %s", cause.code)
        return
    log.error("a command failed because of a bug", exc_info=error)
    await interactions.reply_ephemerally(interaction, text(INTERNAL_ERROR, language_of(str(interaction.locale))))


def _imagine_command(context: Context) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(description="Generate an image directly from a prompt")
    @app_commands.describe(
        prompt="What the image shows",
        ratio="Width to height, such as 16:9",
        count="How many images, 1 to 4",
        model="The image model",
        seed="The same seed and prompt give the same image",
        negative="What the image must not show",
    )
    async def imagine(
        interaction: Interaction,
        prompt: app_commands.Range[str, 1, LONGEST_PROMPT],
        ratio: str | None = None,
        count: app_commands.Range[int, 1, 4] | None = None,
        model: str | None = None,
        seed: app_commands.Range[int, 0, HIGHEST_SEED] | None = None,
        negative: app_commands.Range[str, 1, LONGEST_NEGATIVE_PROMPT] | None = None,
    ) -> None:
        request = ImageRequest(
            0,
            Operation.GENERATE,
            prompt,
            sampling=Sampling(seed=seed, aspect_ratio=ratio or "", negative_prompt=negative or "", model=model or ""),
        )
        await _imagine(context, interaction, request, count)

    @imagine.autocomplete("ratio")
    async def ratios(interaction: Interaction, typed: str) -> list[Choice[str]]:
        return await _value_choices(context, interaction, "aspect_ratio", typed)

    @imagine.autocomplete("model")
    async def models(interaction: Interaction, typed: str) -> list[Choice[str]]:
        return await _value_choices(context, interaction, "image_model", typed)

    return imagine


def _plain_command(context: Context, name: str, description: str) -> app_commands.Command[Any, ..., None]:
    """Build a command without arguments."""

    async def run(interaction: Interaction) -> None:
        await interactions.answer_command(context, interaction, name, {})

    return app_commands.Command(name=name, description=description, callback=run)


def _cancel_command(context: Context) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(description="Cancel your requests in this place")
    @app_commands.describe(whose="Managers can cancel the requests of everybody")
    @app_commands.choices(whose=[Choice(name="mine", value="mine"), Choice(name="everybody's", value="all")])
    async def cancel(interaction: Interaction, whose: str = "mine") -> None:
        await interactions.answer_command(context, interaction, "cancel", {"whose": whose})

    return cancel


def _forget_command(context: Context) -> app_commands.Command[Any, ..., None]:
    @app_commands.command(description="Delete this thread from my memory, or your own settings")
    @app_commands.describe(what="What I should forget")
    @app_commands.choices(
        what=[Choice(name="this thread", value="thread"), Choice(name="my settings", value="settings")]
    )
    async def forget(interaction: Interaction, what: str) -> None:
        await interactions.answer_command(context, interaction, "forget", {"what": what})

    return forget


def _form_menu(context: Context, title: str, form: tuple[str, str]) -> app_commands.ContextMenu:
    """Build a menu command that opens a form about a message; `form` is its question and an example."""

    async def run(interaction: Interaction, message: discord.Message) -> None:
        target = context.chosen_messages.add(message)
        await interaction.response.send_modal(settings_panel.about_form(title, target, *form))

    return app_commands.ContextMenu(name=title, callback=run)


def _vary_menu(context: Context) -> app_commands.ContextMenu:
    async def run(interaction: Interaction, message: discord.Message) -> None:
        await _vary_message(context, interaction, message)

    return app_commands.ContextMenu(name="Vary image", callback=run)


def _settings_group(context: Context) -> app_commands.Group:
    group = app_commands.Group(
        name="settings",
        description="The settings: models, limits, language and more",
        allowed_contexts=EVERYWHERE,
        allowed_installs=INSTALLS,
    )
    scopes = [Choice(name=scope.value, value=scope.value) for scope in Scope]

    @group.command(name="panel", description="Show and change the settings in a form")
    async def panel(interaction: Interaction) -> None:
        await interactions.answer_command(context, interaction, "settings", {})

    @group.command(description="Show the settings that apply, and the scope that each comes from")
    @app_commands.choices(scope=scopes)
    async def show(interaction: Interaction, scope: str = Scope.PERSON.value) -> None:
        await interactions.answer_command(context, interaction, "settings", {"scope": scope})

    @group.command(name="set", description="Change a setting")
    @app_commands.describe(key="Which setting", value="The new value", scope="Where it applies")
    @app_commands.choices(scope=scopes)
    async def set_(interaction: Interaction, key: str, value: str, scope: str = Scope.PERSON.value) -> None:
        key = await _find_key(context, interaction, key)
        await interactions.answer_command(
            context, interaction, "settings", {"do": "set", "scope": scope, "key": key, "value": value}
        )

    @group.command(description="Set a setting back to its default")
    @app_commands.describe(key="Which setting; none for all", scope="Where it applies")
    @app_commands.choices(scope=scopes)
    async def reset(interaction: Interaction, key: str = "", scope: str = Scope.PERSON.value) -> None:
        key = await _find_key(context, interaction, key)
        await interactions.answer_command(context, interaction, "settings", {"do": "reset", "scope": scope, "key": key})

    @set_.autocomplete("key")
    @reset.autocomplete("key")
    async def keys(interaction: Interaction, typed: str) -> list[Choice[str]]:
        panel = await _load_panel(context, interaction)
        return _matching_choices({text(field.title): field.key for field in panel.fields}, typed)

    @set_.autocomplete("value")
    async def values(interaction: Interaction, typed: str) -> list[Choice[str]]:
        return await _value_choices(context, interaction, str(interaction.namespace.key or ""), typed)

    return group


async def _load_panel(context: Context, interaction: Interaction) -> SettingsPanel:
    scope = str(getattr(interaction.namespace, "scope", "") or Scope.PERSON.value)
    response = await interactions.run_command(context, interaction, "settings", {"scope": scope})
    return response.panel if not isinstance(response, str) and response.panel else SettingsPanel(Scope.PERSON, ())


async def _find_key(context: Context, interaction: Interaction, typed: str) -> str:
    """Return the key of the setting that the user typed by key or by title; else the typed text."""
    wanted = " ".join(typed.split()).casefold()
    fields = (await _load_panel(context, interaction)).fields if wanted else ()
    return next((field.key for field in fields if wanted in (field.key, text(field.title).casefold())), typed)


async def _value_choices(context: Context, interaction: Interaction, key: str, typed: str) -> list[Choice[str]]:
    panel = await _load_panel(context, interaction)
    field = next((field for field in panel.fields if field.key == key), None)
    return _matching_choices({choice: choice for choice in field.choices}, typed) if field else []


def _matching_choices(choices: dict[str, str], typed: str) -> list[Choice[str]]:
    wanted = typed.casefold()
    fitting = [
        (name, value) for name, value in choices.items() if wanted in name.casefold() or wanted in value.casefold()
    ]
    return [Choice(name=name[:100], value=value[:100]) for name, value in fitting[:MAX_CHOICES]]


async def _imagine(context: Context, interaction: Interaction, request: ImageRequest, count: int | None) -> None:
    """Post the prompt with the name of the user, and start the reply below it; a user install posts only the reply."""
    channel_thread, author = interactions.find_channel_thread(context, interaction), interactions.person(interaction)
    if channel_thread.space == USER_INSTALL:
        await interaction.response.defer(thinking=True)
        command = ImagineCommand(str(interaction.id), channel_thread, author, request, count)
        await interactions.hand_over(
            context, interaction, command, interactions.reply_place(interaction, channel_thread)
        )
        return
    language = context.inbox.settings(channel_thread, author).language
    asked = text(notice("asks-for", name=author.name, prompt=request.prompt), language)
    await interaction.response.send_message(asked[:2000], allowed_mentions=discord.AllowedMentions.none())
    posted = await interaction.original_response()
    assert interaction.channel is not None
    in_thread = not channel_thread.thread and context.inbox.settings(channel_thread, author).reply_in is ReplyIn.THREAD
    thread = interactions.ensure_thread(channel_thread, posted.id)
    place = ReplyPlace(
        interaction.channel.id,
        answers=None if in_thread else posted.id,
        asker=interaction.user.id,
        thread_on=posted.id if in_thread else None,
        title=request.prompt,
    )
    command = ImagineCommand(str(interaction.id), thread, author, request, count)
    if not await interactions.hand_over(context, interaction, command, place):
        with suppress(discord.HTTPException):
            await interaction.delete_original_response()


async def _vary_message(context: Context, interaction: Interaction, message: discord.Message) -> None:
    """Start a variation of the image in a message."""
    post = context.find_post(message.channel.id, message.id)
    if post and post[1] is not None:
        await components.hand_over_press(context, interaction, Action.VARY, str(post[1]), below=message)
        return
    target = context.chosen_messages.add(message)
    instruction = text(notice("vary-message"), interactions.user_language(context, interaction))
    await components.ask_about(context, interaction, target, instruction)
