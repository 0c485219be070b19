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
from bot.settings.old_names import current_key, current_value
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
MANAGERS_ONLY = frozenset(
    {"blocked_words", "daily_limit", "max_concurrent"}
)  # a choice for a channel would override the server's
DEFAULT_CHOICE = "default"  # stands for the default where that has no name of its own

ScopeValues = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class AvailableModels:
    """The names of the chat models, image models and styles that users can choose."""

    chat: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    styles: tuple[str, ...] = tuple(STYLE_PROMPTS)


@dataclass(frozen=True, slots=True)
class Setting:
    """The definition of a setting. `choices` returns its values, given the available models.

    Without choices it is a whole number from 0 to `maximum`, or free text of at most `max_length` characters if
    `maximum` is 0. `parse` turns the stored text into the value.
    """

    name: str
    choices: Callable[[AvailableModels], Sequence[str]] | None = None
    scopes: tuple[Scope, ...] = WIDEST_FIRST
    parse: Callable[[str], Any] = str
    max_length: int = 0
    maximum: int = 0

    @property
    def title(self) -> Notice:
        """The title for users."""
        return notice(f"setting-{self.name}-title")

    @property
    def description(self) -> Notice:
        """The description for users."""
        return notice(f"setting-{self.name}-about")


def _fixed_choices(choices: Sequence[str]) -> Callable[[AvailableModels], Sequence[str]]:
    return lambda models: tuple(map(str, choices))


def _with_default(names: Sequence[str]) -> Sequence[str]:
    return tuple(dict.fromkeys((DEFAULT_CHOICE, *names)))  # a model may have this name, too


def _is_on(value: str) -> bool:
    return value == "on"


_ALL_SETTINGS = (
    Setting("chat_model", lambda models: _with_default(models.chat)),
    Setting(
        "image_model",
        lambda models: _with_default(models.image),
    ),
    Setting("style", lambda models: _with_default(models.styles)),
    Setting(
        "aspect_ratio",
        _fixed_choices(_with_default(ASPECT_RATIOS)),
    ),
    Setting(
        "images_per_request",
        _fixed_choices([str(number + 1) for number in range(MAX_IMAGES_PER_REQUEST)]),
        parse=int,
    ),
    Setting(
        "improve_prompts",
        _fixed_choices(list(RefineMode)),
        parse=RefineMode,
    ),
    Setting(
        "persona",
        scopes=PLACE_SCOPES,
        max_length=MAX_PERSONA_LENGTH,
    ),
    Setting(
        "language",
        _fixed_choices(list(LANGUAGES)),
    ),
    Setting(
        "reply_in",
        _fixed_choices(list(ReplyIn)),
        MANAGER_SCOPES,
        ReplyIn,
    ),
    Setting(
        "reply_mode",
        _fixed_choices(list(ReplyMode)),
        PLACE_SCOPES,
        ReplyMode,
    ),
    Setting(
        "previews",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "alt_text",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "metadata",
        _fixed_choices(("on", "off")),
        parse=_is_on,
    ),
    Setting(
        "blocked_words",
        scopes=MANAGER_SCOPES,
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "allowed",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "blocked",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "managers",
        scopes=(Scope.SERVER,),
        max_length=MAX_LIST_LENGTH,
    ),
    Setting(
        "daily_limit",
        scopes=MANAGER_SCOPES,
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "server_daily_limit",
        scopes=(Scope.SERVER,),
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "max_concurrent",
        scopes=MANAGER_SCOPES,
        parse=int,
        maximum=MAX_PER_DAY,
    ),
    Setting(
        "who_can_edit_settings",
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


def scope_notice(scope: Scope) -> Notice:
    """The name of a scope inside a message, such as `this channel`."""
    return notice(f"scope-{scope}")


def value_name(name: str, value: str) -> UserText:
    """The name of a value for users; the names of models, of an operator's styles and of numbers are not translated."""
    if name == "language" and value in LANGUAGES:
        return LANGUAGES[value]
    known = value or DEFAULT_CHOICE
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
        value = value if value in choices else current_value(key.name, value)
        if value not in choices:
            raise Refused(
                "setting-bad-choice",
                title=key.title,
                choices=listed(choices),
                value=value[:50],
            )
        return "" if value == DEFAULT_CHOICE else value
    if key.maximum:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or int(value) > key.maximum:
            raise Refused("setting-bad-number", title=key.title, maximum=key.maximum, value=value[:50])
        return str(int(value))
    if len(value) > key.max_length:
        raise Refused("setting-too-long", title=key.title, maximum=key.max_length, length=len(value))
    if key.name == "blocked_words":
        _check_patterns(value)
    return value


def find_setting(name: str, scope: Scope) -> Setting:
    """The setting with this name, or this old name. Raises Refused if it is unknown, or unavailable in this scope."""
    key = SETTINGS.get(current_key(name))
    if key is None:
        raise Refused("no-such-setting", name=name[:50], names=listed(SETTINGS))
    if scope not in key.scopes:
        raise Refused(
            "setting-wrong-scope",
            title=key.title,
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
    if current_key(name) not in SETTINGS or current_key(name) in MANAGERS_ONLY:
        raise Refused("limits-for-managers")


def _check_patterns(blocked_words: str) -> None:
    for line in map(str.strip, blocked_words.splitlines()):
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
        setting.title,
        setting.description,
        value or (DEFAULT_CHOICE if choices else ""),
        source,
        choices,
        setting.max_length,
        setting.maximum,
        tuple(value_name(setting.name, choice) for choice in choices),
    )
