"""Builds the settings panel and the forms (modals) of Discord. Pure."""

from typing import Any

import discord

from adapters.discord.payloads import escape_markdown
from bot.notices import notice, text
from bot.region import NAMED_REGIONS, WHOLE_IMAGE
from bot.settings.values import Scope, SettingField, SettingsPanel

SETTINGS, ABOUT_MESSAGE = "settings", "about"
LONGEST_WORDS = 2000  # characters of the text in a form
MAX_DIGITS = 9  # digits of a number in a form
MAX_OPTIONS = 25  # Discord docs, components/reference
_SCOPES = (Scope.PERSON, Scope.THREAD, Scope.CHANNEL, Scope.CATEGORY, Scope.SERVER)


def panel_view(words: str, panel: SettingsPanel, key: str = "") -> discord.ui.LayoutView:
    """Build the panel of a scope; with a key, also the choices of that setting. The custom_ids carry all state."""
    view = discord.ui.LayoutView(timeout=None)
    language = panel.language
    heading = text(notice("settings-of", scope=notice(f"menu-{panel.scope}")), language)
    lines = [f"### {heading}", *(_field_text(field, language) for field in panel.fields)]
    if words:
        lines.insert(0, words)
    view.add_item(discord.ui.Container(discord.ui.TextDisplay("\n".join(lines)[:3900])))
    scopes = [
        discord.SelectOption(label=text(notice(f"menu-{scope}"), language), value=scope, default=scope is panel.scope)
        for scope in _SCOPES
        if panel.has_category or scope is not Scope.CATEGORY
    ]
    view.add_item(_menu("scope", text(notice("settings-whose"), language), scopes))
    keys = [
        discord.SelectOption(
            label=text(field.title),
            value=field.key,
            description=text(field.description)[:100],
            default=field.key == key,
        )
        for field in panel.fields
    ]
    view.add_item(_menu(f"key.{panel.scope}", text(notice("settings-which"), language), keys))
    chosen = next((field for field in panel.fields if field.key == key), None)
    if chosen:
        view.add_item(_value_controls(chosen, panel.scope, language))
    view.stop()
    return view


def _field_text(field: SettingField, language: str) -> str:
    value = escape_markdown(text(field.value_name, language)) or text(notice("setting-empty"), language)
    short = value if len(value) <= 200 else value[:199] + "…"
    source = text(notice("setting-source", source=notice(f"source-{field.source}")), language)
    return f"**{text(field.title, language)}**: {short}\n-# {source}"


def _menu(target: str, placeholder: str, options: list[discord.SelectOption]) -> "discord.ui.ActionRow[Any]":
    select: discord.ui.Select[Any] = discord.ui.Select(
        custom_id=f"mini:{SETTINGS}:{target}", placeholder=placeholder, options=options[:MAX_OPTIONS]
    )
    return discord.ui.ActionRow(select)


def _value_controls(field: SettingField, scope: Scope, language: str) -> "discord.ui.ActionRow[Any]":
    target = f"value.{scope}.{field.key}"
    if field.choices:
        options = [
            discord.SelectOption(label=text(name, language)[:100], value=choice[:100], default=choice == field.value)
            for choice, name in zip(field.choices, field.choice_names or field.choices, strict=True)
        ]
        return _menu(target, text(notice("settings-choose", title=field.title), language), options)
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    row.add_item(
        discord.ui.Button(
            label=text(notice("settings-write"), language), custom_id=f"mini:{SETTINGS}:write.{scope}.{field.key}"
        )
    )
    row.add_item(
        discord.ui.Button(
            label=text(notice("settings-to-default"), language), custom_id=f"mini:{SETTINGS}:reset.{scope}.{field.key}"
        )
    )
    return row


def edit_form(target: str, prompt: str, language: str = "en") -> discord.ui.Modal:
    """Build the form that asks for the change of an image. `target` is the number of the image."""
    modal = discord.ui.Modal(
        title=text(notice("edit-title", number=target), language)[:45], custom_id=f"mini:edit:{target}"
    )
    if prompt:
        source = notice("edit-source-prompt", number=target, prompt=escape_markdown(prompt[:500]))
        modal.add_item(discord.ui.TextDisplay("-# " + text(source, language)))
    _add_text_input(modal, text(notice("edit-question"), language), text(notice("edit-example"), language))
    options = [
        discord.SelectOption(label=text(notice(f"area-{area}"), language), value=area, default=area == WHOLE_IMAGE)
        for area in NAMED_REGIONS
    ]
    where: discord.ui.Select[Any] = discord.ui.Select(custom_id="where", options=options, required=False)
    modal.add_item(
        discord.ui.Label(
            text=text(notice("edit-where"), language),
            description=text(notice("edit-rest-stays"), language),
            component=where,
        )
    )
    return modal


def about_form(title: str, target: str, question: str, example: str) -> discord.ui.Modal:
    """Build the form that asks for a text about a message. `target` is "channel id.message id"."""
    return _add_text_input(
        discord.ui.Modal(title=title[:45], custom_id=f"mini:{ABOUT_MESSAGE}:{target}"), question, example
    )


def _add_text_input(modal: discord.ui.Modal, question: str, example: str) -> discord.ui.Modal:
    words: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="words", style=discord.TextStyle.paragraph, placeholder=example, max_length=LONGEST_WORDS
    )
    modal.add_item(discord.ui.Label(text=question, component=words))
    return modal


def value_form(target: str, field: SettingField) -> discord.ui.Modal:
    """Build the form that asks for the value of a setting without choices."""
    modal = discord.ui.Modal(title=text(field.title)[:45], custom_id=f"mini:{SETTINGS}:{target}")
    value: discord.ui.TextInput[Any] = discord.ui.TextInput(
        custom_id="value",
        style=discord.TextStyle.paragraph if field.max_length else discord.TextStyle.short,
        default=field.value[: field.max_length or MAX_DIGITS] or None,
        max_length=field.max_length or MAX_DIGITS,
        required=False,
    )
    modal.add_item(discord.ui.Label(text=text(field.title), description=text(field.description)[:100], component=value))
    return modal
