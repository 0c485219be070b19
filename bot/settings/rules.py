"""The rules of the settings: choices, scopes, who may change them, and which value applies. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import regex

from bot.capabilities import RefineMode
from bot.domain import MANAGER, OWNER, Person, ThreadKey
from bot.errors import Refused
from bot.notices import LANGUAGES, Notice, UserText, catalog, listed, notice
from bot.settings.styles import STYLE_PROMPTS
from bot.settings.values import ReplyIn, ReplyMode, Scope, SettingField, Settings, SettingsEditors

ASPECT_RATIOS = ("1:1", "3:2", "2:3", "4:3", "3:4", "16:9", "9:16", "2:1")
MAX_IMAGES_PER_REQUEST = 4  # images of one /imagine
MAX_PERSONA_LENGTH = 2_000  # characters
MAX_LIST_LENGTH = 2_000  # characters
MAX_PER_DAY = 100_000
WIDEST_FIRST = tuple(Scope)
PLACE_SCOPES = (Scope.SERVER, Scope.CATEGORY, Scope.CHANNEL, Scope.THREAD)
MANAGER_SCOPES = (Scope.SERVER, Scope.CATEGORY, Scope.CHANNEL)
MANAGERS_ONLY = frozenset({"rule", "daily", "at_once"})  # a choice for a channel would override the server's
DEFAULT_CHOICE = "usual"  # stands for the default where that has no name of its own

_MESSAGE_KEYS = {  # the keys of the message catalogs for settings with another name
    "picture_model": "image_model",
    "ratio": "aspect_ratio",
    "count": "images_per_request",
    "refine": "improve_prompts",
    "answer": "reply_in",
    "unasked": "reply_mode",
    "describe": "alt_text",
    "rule": "blocked_words",
    "daily": "daily_limit",
    "server_daily": "server_daily_limit",
    "at_once": "max_concurrent",
    "changers": "who_can_edit_settings",
}

ScopeValues = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class AvailableModels:
    """The names of the chat models, image models and styles that users can choose."""

    chat: tuple[str, ...] = ()
    picture: tuple[str, ...] = ()
    styles: tuple[str, ...] = tuple(STYLE_PROMPTS)


@dataclass(frozen=True, slots=True)
class Setting:
    """The definition of a setting. `choices` returns its values, given the available models.

    Without choices it is a whole number from 0 to `maximum`, or free text of at most `max_length` characters if
    `maximum` is 0. `parse` turns the stored text into the value.
    """

    name: str
    title: str
    description: str
    choices: Callable[[AvailableModels], Sequence[str]] | None = None
    scopes: tuple[Scope, ...] = WIDEST_FIRST
    parse: Callable[[str], Any] = str
    max_length: int = 0
    maximum: int = 0


def _fixed_choices(choices: Sequence[str]) -> Callable[[AvailableModels], Sequence[str]]:
    return lambda models: tuple(map(str, choices))


def _is_on(value: str) -> bool:
    return value == "on"


_ALL_SETTINGS = (
    Setting("chat_model", "Chat model", "Who answers.", lambda models: (DEFAULT_CHOICE, *models.chat)),
    Setting("picture_model", "Picture model", "Who draws.", lambda models: (DEFAULT_CHOICE, *models.picture)),
    Setting("style", "Style", "What new pictures look like.", lambda models: (DEFAULT_CHOICE, *models.styles)),
    Setting("ratio", "Shape", "Width to height of new pictures.", _fixed_choices((DEFAULT_CHOICE, *ASPECT_RATIOS))),
    Setting(
        "count",
        "Pictures of a wish",
        "How many pictures /imagine draws.",
        _fixed_choices([str(number + 1) for number in range(MAX_IMAGES_PER_REQUEST)]),
        parse=int,
    ),
    Setting(
        "refine",
        "Refine wishes",
        "Whether the chat model turns a wish into a better prompt: never, where it helps, or always.",
        _fixed_choices(list(RefineMode)),
        parse=RefineMode,
    ),
    Setting(
        "persona",
        "Persona",
        "Who the bot is in its talk, in plain sentences.",
        scopes=PLACE_SCOPES,
        max_length=MAX_PERSONA_LENGTH,
    ),
    Setting(
        "language",
        "Language",
        "The language of the bot's own words; the chat model speaks as it is spoken to.",
        _fixed_choices(list(LANGUAGES)),
    ),
    Setting(
        "answer",
        "Answers",
        "Whether a question in a channel is answered in a thread or in place; on Slack always in a thread.",
        _fixed_choices(list(ReplyIn)),
        MANAGER_SCOPES,
        ReplyIn,
    ),
    Setting(
        "unasked",
        "Answer without a mention",
        "What is answered although nobody mentioned the bot, where a reply that pings it is a mention.",
        _fixed_choices(list(ReplyMode)),
        PLACE_SCOPES,
        ReplyMode,
    ),
    Setting(
        "previews",
        "Previews",
        "Whether pictures are shown while they come about.",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "describe",
        "Describe pictures",
        "Whether a chat model that sees describes each picture for those who do not.",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "metadata",
        "Prompt in files",
        "Whether a picture's file holds prompt and seed; that a model made it, it always says.",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "rule",
        "Content rule",
        "Words that no prompt may hold, one a line; a line between slashes is a pattern, as in /gr[ae]y/.",
        scopes=MANAGER_SCOPES,
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "allowed",
        "Allowed",
        "Channels, roles, user groups and people, by mention or id: if there are any, nobody else is answered.",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "blocked",
        "Blocked",
        "Channels, roles, user groups and people, by mention or id, that are not answered.",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "managers",
        "Managers",
        "Roles, user groups and people, by mention or id, that manage here besides those whom the platform names.",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "daily",
        "Pictures a day and person",
        "How many pictures one person may have drawn in 24 hours; 0 is as many as one likes.",
        scopes=MANAGER_SCOPES,
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "server_daily",
        "Pictures a day",
        "How many pictures all people together may have drawn in 24 hours; 0 is as many as they like.",
        scopes=(Scope.SERVER,),
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "at_once",
        "Pictures at once",
        "How many pictures of one person may wait or be drawn at a time; 0 is as many as one likes.",
        scopes=MANAGER_SCOPES,
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "changers",
        "Who may change settings",
        "Whether owners, managers or everyone may change what holds for a channel; rule and limits stay with managers.",
        _fixed_choices(list(SettingsEditors)),
        (Scope.SERVER,),
        SettingsEditors,
    ),
)
SETTINGS = MappingProxyType({key.name: key for key in _ALL_SETTINGS})


def scope_key(scope: Scope, thread: ThreadKey, person: str, category: str = "") -> str:
    """The key under which the values of this scope are stored; `category` is that of the thread's channel."""
    match scope:
        case Scope.SERVER:
            return f"{thread.platform}/{thread.space}"
        case Scope.CATEGORY:
            return f"{thread.platform}/{thread.space}#{category}"
        case Scope.CHANNEL:
            return f"{thread.platform}/{thread.space}/{thread.channel}"
        case Scope.THREAD:
            return str(thread)
        case Scope.PERSON:
            return f"{thread.platform}:{person}"


def setting_message(name: str, kind: str) -> Notice:
    """The title (`title`) or the description (`about`) of a setting for users."""
    return notice(f"setting-{_MESSAGE_KEYS.get(name, name)}-{kind}")


def scope_notice(scope: Scope) -> Notice:
    """The name of a scope inside a message, such as `this channel`."""
    return notice(f"scope-{scope}")


def value_name(name: str, value: str) -> UserText:
    """The name of a value for users; the names of models, of an operator's styles and of numbers are not translated."""
    if name == "language" and value in LANGUAGES:
        return LANGUAGES[value]
    known = {"": "default", "usual": "default", "pictures": "images"}.get(value, value)
    id_ = f"value-{known.replace(' ', '-')}"
    return notice(id_) if id_ in catalog("en") else value


def resolve_settings(values: ScopeValues, defaults: Settings) -> Settings:
    """The settings that apply: a value of the narrowest scope that has one and may set it, or else the default."""
    chosen = {
        name: SETTINGS[name].parse(value)
        for scope in WIDEST_FIRST
        for name, value in values.get(scope, {}).items()
        if name in SETTINGS and scope in SETTINGS[name].scopes
    }
    return replace(defaults, **chosen)


def list_fields(
    scope: Scope, values: ScopeValues, defaults: Settings, models: AvailableModels
) -> tuple[SettingField, ...]:
    """The settings of a scope as fields, with the value that applies there now and its source."""
    return tuple(_build_field(key, scope, values, defaults, models) for key in SETTINGS.values() if scope in key.scopes)


def validate_value(name: str, value: str, scope: Scope, models: AvailableModels) -> str:
    """The value as it is stored. Raises Refused for an unknown setting, or a value that is invalid in this scope."""
    key = find_setting(name, scope)
    value = value.strip()
    if key.choices is not None:
        choices = key.choices(models)
        if value not in choices:
            raise Refused(
                "setting-bad-choice",
                title=setting_message(key.name, "title"),
                choices=listed(choices),
                value=value[:50],
            )
        return "" if value == DEFAULT_CHOICE else value
    if key.maximum:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or int(value) > key.maximum:
            raise Refused(
                "setting-bad-number", title=setting_message(key.name, "title"), maximum=key.maximum, value=value[:50]
            )
        return str(int(value))
    if len(value) > key.max_length:
        raise Refused(
            "setting-too-long", title=setting_message(key.name, "title"), maximum=key.max_length, length=len(value)
        )
    if name == "rule":
        _check_patterns(value)
    return value


def find_setting(name: str, scope: Scope) -> Setting:
    """The setting with this name. Raises Refused if it is unknown or not available in this scope."""
    key = SETTINGS.get(name)
    if key is None:
        raise Refused("no-such-setting", name=name[:50], names=listed(SETTINGS))
    if scope not in key.scopes:
        raise Refused(
            "setting-wrong-scope",
            title=setting_message(key.name, "title"),
            scopes=listed(key.scopes),
            scope=scope.value,
        )
    return key


def format_value(value: object) -> str:
    """The value of a setting as it is stored and displayed."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def check_may_change(
    person: Person, scope: Scope, editors: SettingsEditors = SettingsEditors.MANAGERS, name: str = ""
) -> None:
    """Raises Refused if the person may not change this setting in this scope. An empty name means all settings."""
    if OWNER in person.roles or scope in (Scope.PERSON, Scope.THREAD):
        return
    if editors is SettingsEditors.OWNERS:
        raise Refused("settings-for-owners", scope=scope_notice(scope))
    if MANAGER in person.roles:
        return
    if scope in (Scope.SERVER, Scope.CATEGORY) or editors is SettingsEditors.MANAGERS:
        raise Refused("settings-for-managers", scope=scope_notice(scope))
    if name not in SETTINGS or name in MANAGERS_ONLY:
        raise Refused("limits-for-managers")


def _check_patterns(rule: str) -> None:
    for line in map(str.strip, rule.splitlines()):
        if len(line) > 2 and line.startswith("/") and line.endswith("/"):
            try:
                regex.compile(line[1:-1])
            except regex.error as error:
                raise Refused("setting-bad-pattern", pattern=line[:50], reason=str(error)) from None


def _build_field(
    setting: Setting, scope: Scope, values: ScopeValues, defaults: Settings, models: AvailableModels
) -> SettingField:
    seen = [each for each in WIDEST_FIRST[: WIDEST_FIRST.index(scope) + 1] if each in setting.scopes]
    chosen = [each for each in seen if setting.name in values.get(each, {})]
    value = values[chosen[-1]][setting.name] if chosen else format_value(getattr(defaults, setting.name))
    choices = tuple(map(str, setting.choices(models))) if setting.choices else ()
    source = str(chosen[-1]) if chosen else "default"
    return SettingField(
        setting.name,
        setting_message(setting.name, "title"),
        setting_message(setting.name, "about"),
        value or (DEFAULT_CHOICE if choices else ""),
        source,
        choices,
        setting.max_length,
        setting.maximum,
        tuple(value_name(setting.name, choice) for choice in choices),
    )
